package supervise

import (
	"cmp"
	"math"
	"slices"
	"time"

	"phalanx/internal/ipc"
)

// This file reports the progress of a long drain.

// progressEvery is how long a drain takes before its progress is reported, and the
// interval of the reports.
const progressEvery = time.Second

// progressLogMost is the longest interval between log lines about a drain. The first interval is
// progressEvery, and each is twice as long as the one before.
const progressLogMost = time.Minute

// Progress is what a worker still has to do before it exits.
type Progress struct {
	Slot, PID   int
	Connections int
	Bytes       int64         // bytes left of responses whose length is known
	Rate        float64       // bytes per second between the last two reports
	Left        time.Duration // time left at that rate; 0: unknown
}

// noteProgress records a worker's report of its drain.
func (p *pool) noteProgress(w *worker, m ipc.Remaining) {
	now := p.Now()
	if since := now.Sub(w.remainingAt).Seconds(); !w.remainingAt.IsZero() && since > 0 {
		w.rate = max(0, float64(w.remaining.Bytes-m.Bytes)/since)
	}
	w.remaining, w.remainingAt = m, now
}

// reportProgress reports the progress of the drain.
func (p *pool) reportProgress() {
	p.progressAt = p.Now().Add(progressEvery)
	var all []Progress
	for _, w := range p.workers() {
		r := Progress{Slot: w.slot.index, PID: w.pid, Connections: w.remaining.Connections, Bytes: w.remaining.Bytes, Rate: w.rate}
		r.Left = r.left()
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Progress) int { return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.PID, b.PID)) })
	if p.OnProgress(all) || p.Now().Before(p.progressLogAt) {
		return
	}
	sum := Sum(all)
	p.Log.Info().Int("workers", len(all)).Int("connections", sum.Connections).Int64("bytes", sum.Bytes).
		Float64("bytes_per_second", sum.Rate).Msg("drain in progress")
	p.progressLogWait = min(max(2*p.progressLogWait, progressEvery), progressLogMost)
	p.progressLogAt = p.Now().Add(p.progressLogWait)
}

// Sum returns the progress of all workers together, without slot and pid.
func Sum(all []Progress) Progress {
	var sum Progress
	for _, r := range all {
		sum.Connections += r.Connections
		sum.Bytes += min(r.Bytes, math.MaxInt64-sum.Bytes) // a worker may claim any number
		sum.Rate += r.Rate
	}
	sum.Left = sum.left()
	return sum
}

// left returns how long the rest takes at the current rate; 0: unknown.
func (r Progress) left() time.Duration {
	if r.Rate <= 0 || r.Bytes <= 0 {
		return 0
	}
	return time.Duration(float64(r.Bytes) / r.Rate * float64(time.Second)).Round(time.Second)
}
