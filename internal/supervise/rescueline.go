package supervise

import (
	"fmt"
	"strings"
	"time"

	"phalanx/internal/human"
)

// This file counts rescues and reports them.

func (p *pool) countRescue(o *orphaned) {
	r, m := &p.rescues, o.result
	r.Connections += uint64(m.Connections)
	r.Bytes += m.Bytes
	r.Unmovable += uint64(m.Fixed + o.left)
	r.Blamed += uint64(m.Blamed)
	r.Reset += uint64(m.Reset)
	r.Lost += uint64(m.Lost)
	if o.err != nil {
		r.Lost += uint64(o.missing())
	}
	if o.err != nil && m.Connections == 0 {
		r.GivenUp++
		return
	}
	r.Workers++
	r.Last = p.Now().Sub(o.died).Seconds()
	r.Seconds += r.Last
}

// missing returns how many of the connections that a worker had when it was counted last are not in
// the report of a rescue.
func (o *orphaned) missing() int {
	m := o.result
	return max(0, o.of.connections-(m.Connections+m.Ended+m.Reset+m.Fixed+m.Blamed+m.Lost+o.left))
}

// countLost counts a dead worker none of whose connections could be rescued. How many it had is known
// as last counted.
func (p *pool) countLost(w *worker) {
	p.rescues.GivenUp++
	p.rescues.Lost += uint64(w.connections)
}

// untoldTime limits how long the line of a death waits for the rescue, which usually takes
// milliseconds.
const untoldTime = 3 * time.Second

const respawning = "; respawning"

// holdDeath keeps the line of a death until the rescue completes it. (A log with fields has two
// events instead.)
func (p *pool) holdDeath(o *orphaned, line string) {
	o.of.deathTold = true
	o.untold, o.tellBy = line, p.Now().Add(untoldTime)
}

// tell reports a death whose line was waiting for the rescue.
func (p *pool) tell(o *orphaned) {
	if line := o.untold; line != "" {
		o.untold, o.tellBy = "", time.Time{}
		p.Alert(line + o.of.activity("") + respawning)
	}
}

// tellRescue reports a rescue, and the death before it unless that was reported already.
func (p *pool) tellRescue(w *worker, o *orphaned) {
	line := rescueLine(w, o, p.Now())
	switch {
	case line == "":
	case o.untold != "":
		if o.of.request != "" {
			o.untold += "; " + o.of.request
		}
		p.Alert(o.untold + "; " + line)
		o.untold = ""
	default:
		p.Alert(line)
	}
}

// rescueLine returns what happened to a dead worker's connections, empty if there were none. It
// names the dead worker if its death was reported in a line before.
func rescueLine(w *worker, o *orphaned, now time.Time) string {
	m := o.result
	if m.Connections+m.Fixed+m.Blamed+m.Lost+o.left == 0 && o.err == nil {
		return ""
	}
	of := ""
	if o.untold == "" {
		of = fmt.Sprintf(" of %v", o.of)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v rescued %s%s after %v", w, human.Plural(m.Connections, "connection", "connections"), of, now.Sub(o.died).Round(time.Millisecond))
	for _, closed := range []struct {
		n   int
		why string
	}{
		{m.Fixed, "whose response cannot be continued"},
		{m.Blamed, "whose request may have killed it"},
		{m.Lost, "whose state was lost"},
		{o.left, "that cannot be rescued"},
	} {
		if closed.n > 0 {
			fmt.Fprintf(&b, "; %d closed %s", closed.n, closed.why)
		}
	}
	if o.err != nil {
		fmt.Fprintf(&b, "; the others are lost: %v", o.err)
	}
	return b.String()
}
