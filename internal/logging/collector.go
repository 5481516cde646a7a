package logging

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gather is the pause between two reads of the pipes, so that busy workers do not
	// wake this process for each line.
	gather = 10 * time.Millisecond
	// mostAlerts is the number of bytes that are read from one worker per second in
	// silent mode, in which workers log only warnings and errors.
	mostAlerts = 4 << 10
	// The fixed cost of a line, in bytes that take the same time.
	lineCost, consoleCost = 32, 512
)

// Collector reads log lines of workers from pipes, one for each worker, and writes them to
// the master's log. Workers are not trusted: a line that is not an event of its worker is
// quoted in a warning, and no worker is read faster than [MostBytes] or before its turn.
// While the reader of the log is slow, lines stay in their pipes.
//
// The lines are events that workers log with [New], in the format JSON and with the fields
// slot and pid.
type Collector struct {
	to      *Writer
	most    int // bytes per second of one worker
	cost    int // of a line, in bytes
	verbose int
	format  func(slot int) io.Writer // writes an event into batch
	now     func() time.Time
	wake    int // eventfd: the sources have changed
	done    sync.WaitGroup

	mu      sync.Mutex // guards the fields below; held from Suspend to Resume
	sources []*Source
	turn    int // selects the first source of a round
	closed  bool
	buf     []byte       // as large as the largest pipe
	batch   bytes.Buffer // lines of one source
	line    []byte
}

// Source is the pipe of one worker.
type Source struct {
	c       *Collector
	fd      int
	checker checker
	out     io.Writer

	ended  bool // end of file: all writing ends are closed
	budget Budget
}

// NewCollector returns a collector that writes to the file through a [Writer]. format and
// verbose are those of [New]; at verbose 0, warnings and errors are written as [Alerts]
// writes them.
func NewCollector(to *Writer, file *os.File, format string, verbose int, o Options) (*Collector, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("collect log lines: %w", err)
	}
	c := &Collector{to: to, verbose: verbose, most: MostBytes, cost: lineCost, now: time.Now, wake: wake}
	o.Through = &c.batch
	out := events(file, format, o)
	c.format = func(int) io.Writer { return out }
	if _, ok := out.(console); ok {
		c.cost = consoleCost
	}
	if verbose <= 0 {
		c.most = mostAlerts
	}
	if verbose <= 0 && format != JSON {
		c.format = func(slot int) io.Writer { return plain{&c.batch, fmt.Sprintf("worker of slot %d: ", slot)} }
	}
	c.done.Go(c.run)
	return c, nil
}

// Add reads lines of a worker from a pipe. Its descriptor must be non-blocking, and belongs
// to the Source from now on.
func (c *Collector) Add(pipe int, slot, pid int) *Source {
	size, err := unix.FcntlInt(uintptr(pipe), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = 16 * os.Getpagesize() // the kernel's default
	}
	s := &Source{c: c, fd: pipe, checker: newChecker(slot, pid, c.verbose), out: c.format(slot)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buf) < size {
		c.buf = make([]byte, size)
	}
	c.sources = append(c.sources, s)
	c.ring()
	return s
}

// Fd returns the descriptor of the pipe, for an upgraded master.
func (s *Source) Fd() int { return s.fd }

// Drain reads what is left in the pipe, once the worker has exited.
func (s *Source) Drain() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.read(s)
}

// Close closes the pipe.
func (s *Source) Close() error {
	s.c.mu.Lock()
	s.c.sources = slices.DeleteFunc(s.c.sources, func(other *Source) bool { return other == s })
	s.c.ring()
	s.c.mu.Unlock()
	return unix.Close(s.fd)
}

// Suspend stops reading, until Resume: lines stay in the pipes for an upgraded master.
func (c *Collector) Suspend() { c.mu.Lock() }

// Resume continues after Suspend.
func (c *Collector) Resume() { c.mu.Unlock() }

// Close stops the collector. Lines that are still in pipes are not written.
func (c *Collector) Close() {
	c.mu.Lock()
	c.closed = true
	c.ring()
	c.mu.Unlock()
	c.done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	unix.Close(c.wake)
	c.wake = -1
}

// ring makes run use the current sources.
func (c *Collector) ring() { _, _ = unix.Write(c.wake, []byte{7: 1}) } // it never blocks

// run is the collector's goroutine.
func (c *Collector) run() {
	var fds []unix.PollFd
	for {
		var wait int
		var closed bool
		if fds, wait, closed = c.waiting(fds[:0]); closed {
			return
		}
		if n, err := unix.Poll(fds, wait); err != nil || n == 0 {
			continue
		}
		if fds[0].Revents != 0 {
			var count [8]byte
			_, _ = unix.Read(c.wake, count[:])
			continue
		}
		if !c.round() {
			time.Sleep(gather)
		}
	}
}

// waiting returns the descriptors to poll and the timeout in milliseconds, -1 for none. A
// source that is over its budget is not polled, nor is any source while the reader of the
// log is slow.
func (c *Collector) waiting(fds []unix.PollFd) (_ []unix.PollFd, wait int, closed bool) {
	fds, wait = append(fds, unix.PollFd{Fd: int32(c.wake), Events: unix.POLLIN}), -1
	c.mu.Lock()
	defer c.mu.Unlock()
	late, now := c.to.Late(), c.now()
	for _, s := range c.sources {
		switch {
		case s.ended:
		case late:
			wait = int(c.to.pause() / time.Millisecond)
		case s.budget.Spent(c.most, now):
			wait = int(gather / time.Millisecond)
		default:
			fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
		}
	}
	return fds, wait, c.closed
}

// round reads each source once, and reports whether one had so much that its pipe may soon
// be full. Each round begins with another source.
func (c *Collector) round() (much bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	now := c.now()
	for i := range c.sources {
		s := c.sources[(c.turn+i)%len(c.sources)]
		if c.to.Late() {
			return false
		}
		if !s.ended && !s.budget.Spent(c.most, now) && c.read(s) > len(c.buf)/2 {
			much = true
		}
	}
	return much
}

// read reads the pipe of a source once and writes its lines. Workers write whole lines
// atomically, so a read of the pipe's whole content ends with a line.
func (c *Collector) read(s *Source) (n int) {
	n, err := unix.Read(s.fd, c.buf)
	for err == unix.EINTR {
		n, err = unix.Read(s.fd, c.buf)
	}
	if err != nil {
		return 0
	}
	s.ended = n == 0
	c.batch.Reset()
	lines := c.pass(s, c.buf[:n])
	s.budget.Take(n + lines*c.cost)
	_, _ = c.to.Write(c.batch.Bytes()) // it never fails
	return n
}

// pass writes the valid lines of a worker into the batch, and one event about all invalid
// ones.
func (c *Collector) pass(s *Source, p []byte) (lines int) {
	var first []byte
	wrong := 0
	for line := range bytes.Lines(p) {
		lines++
		line = bytes.TrimSuffix(line, []byte("\n"))
		ok, plain := s.checker.valid(line)
		switch {
		case !ok:
			if wrong++; wrong == 1 {
				first = line
			}
			continue
		case !plain:
			c.line = appendPlain(c.line[:0], line)
		default:
			c.line = append(c.line[:0], line...)
		}
		_, _ = s.out.Write(append(c.line, '\n'))
	}
	if wrong > 0 {
		c.line = s.checker.appendInvalid(c.line[:0], first, wrong, c.now())
		_, _ = s.out.Write(append(c.line, '\n'))
	}
	return lines
}
