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
	// gather is how long lines are left in their pipes after some were taken, so that
	// busy workers do not wake this process for each of their turns.
	gather = 10 * time.Millisecond
	// mostAlerts is how many bytes are taken from one worker within a second in silent
	// mode, in which it has hardly anything to say.
	mostAlerts = 4 << 10
	// A line costs as much time as so many bytes more of it would.
	lineCost, consoleCost = 32, 512
)

// Collector takes log lines of workers out of their pipes and writes them where the
// master's own go. Each worker has a pipe of its own, and is not trusted: what is not an
// event of its own is quoted in a warning, one that writes without pause is not read
// faster than mostBytes, and takes turns with the others. While the reader of the log is
// slow, lines wait in their pipes.
//
// It is for the events of [New] with the format JSON and the fields slot and pid.
type Collector struct {
	to      *Writer
	most    int // bytes a second of one worker
	cost    int // of a line, in bytes
	verbose int
	format  func(slot int) io.Writer // writes an event into batch
	now     func() time.Time
	wake    int // eventfd: the sources have changed
	done    sync.WaitGroup

	mu      sync.Mutex // for what follows; held from Suspend to Resume
	sources []*Source
	turn    int // which source is the first
	closed  bool
	buf     []byte       // as large as the largest pipe
	batch   bytes.Buffer // lines of one source
	line    []byte
}

// Source is the pipe of one worker.
type Source struct {
	c     *Collector
	fd    int
	guest guest
	out   io.Writer

	ended  bool // nobody can write any more
	budget Budget
}

// NewCollector returns a collector that writes through a [Writer] to the file, in the
// format and to the verbosity of [New]. At verbose 0 lines of warnings and errors are
// written as [Alerts] does.
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

// Add takes lines of a worker out of a pipe, whose descriptor is non-blocking and the
// Source's from now on.
func (c *Collector) Add(pipe int, slot, pid int) *Source {
	size, err := unix.FcntlInt(uintptr(pipe), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		size = 16 * os.Getpagesize() // the kernel's default
	}
	s := &Source{c: c, fd: pipe, guest: newGuest(slot, pid, c.verbose), out: c.format(slot)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buf) < size {
		c.buf = make([]byte, size)
	}
	c.sources = append(c.sources, s)
	c.ring()
	return s
}

// Fd returns the descriptor of the pipe, for a program that goes on with it.
func (s *Source) Fd() int { return s.fd }

// Drain takes what is left, once the worker has exited.
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

// Suspend leaves what comes from now on in the pipes, for a program that goes on with
// them.
func (c *Collector) Suspend() { c.mu.Lock() }

// Resume undoes that.
func (c *Collector) Resume() { c.mu.Unlock() }

// Close ends the collector. What is still in pipes is not written.
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

// ring makes the goroutine look at the sources anew.
func (c *Collector) ring() { _, _ = unix.Write(c.wake, []byte{7: 1}) } // it never blocks

// run is the goroutine.
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

// waiting returns what to wait for, and for how many milliseconds, -1 without end. A
// source that has had its share is not waited for, nor is any while the log's reader is
// slow.
func (c *Collector) waiting(fds []unix.PollFd) (_ []unix.PollFd, wait int, closed bool) {
	fds, wait = append(fds, unix.PollFd{Fd: int32(c.wake), Events: unix.POLLIN}), -1
	c.mu.Lock()
	defer c.mu.Unlock()
	late, now := c.to.Late(), c.now()
	for _, s := range c.sources {
		switch {
		case s.ended:
		case late || s.budget.Spent(c.most, now):
			wait = int(gather / time.Millisecond)
		default:
			fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
		}
	}
	return fds, wait, c.closed
}

// round takes what every source has, and reports whether one had so much that it should
// not be kept waiting. The sources take turns at being the first.
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

// read takes what a source has now. Workers write whole lines atomically, so a read of as
// much as the pipe holds ends with a line.
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

// pass writes the lines of a worker into the batch, and one event about all that are not
// its own events.
func (c *Collector) pass(s *Source, p []byte) (lines int) {
	var first []byte
	wrong := 0
	for line := range bytes.Lines(p) {
		lines++
		line = bytes.TrimSuffix(line, []byte("\n"))
		ok, plain := s.guest.said(line)
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
		c.line = s.guest.invalid(c.line[:0], first, wrong, c.now())
		_, _ = s.out.Write(append(c.line, '\n'))
	}
	return lines
}
