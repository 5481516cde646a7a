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
	r.Workers++
	r.Connections += uint64(m.Connections)
	r.Bytes += m.Bytes
	r.Unmovable += uint64(m.Fixed + o.left)
	r.Blamed += uint64(m.Blamed)
	r.Reset += uint64(m.Reset)
	r.Lost += uint64(m.Lost)
	r.Last = p.Now().Sub(o.died).Seconds()
	r.Seconds += r.Last
}

// rescueLine is the log line of a rescue, empty if there were no connections.
func rescueLine(w *worker, o *orphaned, now time.Time) string {
	m := o.result
	if m.Connections+m.Fixed+m.Blamed+m.Lost+o.left == 0 && o.err == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v rescued %s of %v after %v", w, human.Plural(m.Connections, "connection", "connections"), o.of, now.Sub(o.died).Round(time.Millisecond))
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
