package supervise

import (
	"bytes"
	"fmt"
	"time"
)

// This file bounds what a worker that floods its master costs: the time of this process
// is for all of them.

const (
	// mostMessages is how many messages a worker may send within a second: a hundred
	// times more than a busy one has to say. A channel that was not read for a while
	// holds a few hundred.
	mostMessages = 5000
	// mostOutput is how many bytes of a worker's output are read within a second. The
	// stacks of a crash are a few megabytes. A line takes as much time as lineCost bytes.
	mostOutput = 16 << 20
	lineCost   = 32
)

// errFlood is why a worker is killed that sends too much.
var errFlood = fmt.Errorf("sent more than %d messages within a second", mostMessages)

// window counts what came within the present second.
type window struct {
	begin time.Time
	n     int
}

// take adds n, and reports whether that is no more than most.
func (w *window) take(n, most int, now time.Time) bool {
	if now.Sub(w.begin) >= time.Second {
		w.begin, w.n = now, 0
	}
	w.n += n
	return w.n <= most
}

// readOutput reads a worker's output to its end, or to the deadline that Wait sets. What
// comes faster than it is read waits, with the worker.
func (p *process) readOutput() {
	var read window
	buf := make([]byte, 32<<10)
	for {
		n, err := p.output.Read(buf)
		_, _ = p.tail.Write(buf[:n]) // it never fails
		if err != nil {
			return
		}
		cost := n + lineCost*bytes.Count(buf[:n], []byte{'\n'})
		if !read.take(cost, mostOutput, time.Now()) {
			time.Sleep(time.Duration(cost) * time.Second / mostOutput)
		}
	}
}
