package supervise

import (
	"cmp"
	"slices"
	"time"

	"phalanx/internal/ipc"
)

// This file is what the user sees of a drain that takes its time.

// waitEvery is how long a drain may take until somebody wants to know why, and
// how often he is told.
const waitEvery = time.Second

// Remains is what a worker still has to do before it ends.
type Remains struct {
	Slot, PID   int
	Connections int
	Bytes       int64         // of replies whose length is known
	Rate        float64       // bytes per second, of late
	Left        time.Duration // at that rate; 0: that cannot be told
}

// remains notes what a worker says of itself.
func (p *pool) remains(w *worker, m ipc.Remaining) {
	now := p.Now()
	if since := now.Sub(w.leftAt).Seconds(); !w.leftAt.IsZero() && since > 0 {
		w.rate = max(0, float64(w.left.Bytes-m.Bytes)/since)
	}
	w.left, w.leftAt = m, now
}

// wait tells how far the drain is, if it is time.
func (p *pool) wait() {
	if p.waitAt.IsZero() || p.Now().Before(p.waitAt) {
		return
	}
	p.waitAt = p.Now().Add(waitEvery)
	var all []Remains
	for _, w := range p.workers() {
		r := Remains{Slot: w.slot.index, PID: w.pid, Connections: w.left.Connections, Bytes: w.left.Bytes, Rate: w.rate}
		if r.Rate > 0 && r.Bytes > 0 {
			r.Left = time.Duration(float64(r.Bytes) / r.Rate * float64(time.Second)).Round(time.Second)
		}
		p.Log.Info().Int("slot", r.Slot).Int("pid", r.PID).Int("connections", r.Connections).
			Int64("bytes", r.Bytes).Float64("rate", r.Rate).Msg("waiting for worker")
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Remains) int { return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.PID, b.PID)) })
	p.OnWait(all)
}
