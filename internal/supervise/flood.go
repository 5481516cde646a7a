package supervise

import (
	"bytes"
	"fmt"
	"time"
)

// This file limits how much of the master's time a worker can take by flooding it: that time is
// for all workers.

const (
	// mostMessages is how many messages a worker may send within a second: a hundred times
	// more than a busy worker sends. A channel that was not read for a while has a few hundred.
	mostMessages = 5000
	// mostOutput is how many bytes of a worker's output are read within a second. The stacks
	// of a crash are a few megabytes. A line counts as lineCost bytes more, for its time.
	mostOutput = 16 << 20
	lineCost   = 32
)

// errFlood is the reason for killing a worker that sends too many messages.
var errFlood = fmt.Errorf("sent more than %d messages within a second", mostMessages)

// window counts what has arrived within the current second.
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

// readOutput reads a worker's output to its end, or until the deadline that Wait sets. A worker
// that writes faster has to wait.
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
