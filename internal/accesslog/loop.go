package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

const (
	// gather is how long lines are collected before they are written.
	gather = 500 * time.Millisecond
	// calm is the minimum time between two wake-ups by the doorbell.
	calm = 5 * time.Millisecond
	// retry is the delay before a retry after an error.
	retry = time.Second
	// slow is how long a reader may read nothing, or a disk not respond, before an alert.
	slow = 5 * time.Second
)

var (
	errStuck = errors.New("the reader is too slow")
	errBurst = errors.New("lines arrive faster than they can be written")
	errHung  = errors.New("the disk did not respond for some time")
)

// verdict is the result of an attempt to write.
type verdict uint8

const (
	dry     verdict = iota // nothing to write
	wrote                  // there may be more
	blocked                // the reader is slow
	failed                 // error; retry later
)

// run is the Writer's goroutine. While there are no lines it sleeps without a timer, and
// the first line of any ring wakes it. From then on it writes every half second, or
// when a ring is a quarter full, until no lines have arrived for half a second.
func (w *Writer) run() {
	defer close(w.done)
	defer func() { w.out.Close() }()
	busy := false
	for {
		if o := w.takeOrder(); o != nil {
			err := w.finish(o.until)
			if o.last {
				w.end()
				o.result <- err
				return
			}
			w.park(o, err)
			continue
		}
		v, err := w.step(false)
		switch v {
		case wrote:
			busy = true
		case blocked:
			w.wait(time.Now().Add(slow), true, false)
			w.alertFull(errStuck)
		case failed:
			w.alert(err)
			w.wait(time.Now().Add(retry), false, false)
		case dry:
			w.alertFull(errBurst)
			if !busy && w.maySleep() {
				w.wait(time.Time{}, false, true)
			}
			busy = false
			if !w.filling() {
				w.wait(time.Now().Add(gather), false, true)
			}
		}
	}
}

// step writes at most one batch. Unless hurry is true, it leaves the lines of sources that
// are over their budget for later.
func (w *Writer) step(hurry bool) (verdict, error) {
	old := w.prepare(!hurry)
	if old != nil {
		old.Close()
	}
	p := w.batch.lines[w.batch.sent:]
	if len(p) == 0 {
		return dry, nil
	}
	w.writes()
	n, err := w.out.write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returned()
	w.batch.advance(n)
	if w.fault = ""; err != nil {
		w.fault = w.trouble(err)
	}
	switch {
	case err == nil:
		return wrote, nil
	case err == unix.EAGAIN:
		w.fault = ""
		return blocked, nil
	case gone(err):
		w.dropped += uint64(lines(w.batch.lines[w.batch.sent:]))
		w.batch.advance(len(w.batch.lines) - w.batch.sent)
	}
	return failed, err
}

// gone reports whether the reader of a pipe or socket has closed it.
func gone(err error) bool {
	return err == unix.EPIPE || err == unix.ECONNRESET || err == unix.ENOTCONN
}

// prepare fills the batch if it is empty, and switches to the next outlet if there
// is one. It returns the previous outlet, to be closed.
func (w *Writer) prepare(patient bool) (old *outlet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		old, w.out, w.next, w.fault = w.out, w.next, nil, ""
		if w.batch.torn() && !w.out.same(old) {
			// The beginning of the line went to the old file; the rest is useless.
			w.batch.advance(bytes.IndexByte(w.batch.lines[w.batch.sent:], '\n') + 1)
			w.dropped++
		}
	}
	if w.batch.empty() {
		w.fill(patient)
	}
	return old
}

// fill makes a batch. Each batch begins with another source. If patient is true, sources
// that are over their budget are left for later.
func (w *Writer) fill(patient bool) {
	w.countLost()
	w.arm()
	w.batch.reset()
	w.prune()
	now := time.Now()
	for i := range w.sources {
		if s := w.sources[(w.turn+i)%len(w.sources)]; !patient || !s.overBudget(now) {
			w.batch.add(s)
		}
	}
	w.turn++
}

// prune removes detached rings that are empty.
func (w *Writer) prune() {
	w.kept = 0
	left := w.sources[:0]
	for _, s := range w.sources {
		if s.ring != nil || len(s.rest) > 0 {
			left = append(left, s)
		}
		w.kept += len(s.rest)
	}
	clear(w.sources[len(left):])
	w.sources = left
}

// filling reports whether a ring within its budget is a quarter full, and arms all rings.
func (w *Writer) filling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arm()
	now := time.Now()
	return slices.ContainsFunc(w.sources, func(s *source) bool {
		return s.ring != nil && s.ring.Waiting() >= s.ring.quarter() && !s.overBudget(now)
	})
}

// arm makes each ring ring the doorbell when it is a quarter full.
func (w *Writer) arm() {
	for _, s := range w.sources {
		if s.ring != nil {
			s.ring.ringAt(s.ring.quarter())
		}
	}
}

// maySleep makes the next line of any ring ring the doorbell, and reports whether
// all rings are empty.
func (w *Writer) maySleep() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.ring != nil {
			s.ring.ringAt(1)
		}
	}
	return !slices.ContainsFunc(w.sources, func(s *source) bool {
		a, _ := s.readable()
		return len(a) > 0
	})
}

// finish writes all pending lines until done, impossible or out of time.
func (w *Writer) finish(until time.Time) error {
	for {
		v, err := w.step(true)
		switch v {
		case dry:
			return nil
		case failed:
			if !gone(err) {
				return w.unfinished(err)
			}
		case blocked:
			w.wait(until, true, false)
			err = errStuck
		case wrote:
			err = errBurst
		}
		if !time.Now().Before(until) {
			return w.unfinished(err)
		}
	}
}

// unfinished reports how many lines are left and why.
func (w *Writer) unfinished(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.sources {
		a, b := s.readable()
		n += lines(a) + lines(b)
	}
	if n == 0 && err == errBurst {
		return nil
	}
	return fmt.Errorf("write %s: %w; %s not written", w.out.name, err, human.Plural(n, "line", "lines"))
}

// takeOrder returns the order of Close or Suspend, nil if there is none.
func (w *Writer) takeOrder() *order {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing, w.order = w.order, nil
	return w.doing
}

// interrupted reports whether an order or a new outlet is waiting.
func (w *Writer) interrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next != nil || w.order != nil
}

// park acknowledges an order and idles until Resume or another order.
func (w *Writer) park(o *order, err error) {
	o.result <- err
	for w.isParked(o) {
		w.await(-1, false)
	}
}

func (w *Writer) isParked(o *order) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doing == o && w.order == nil
}

// end discards what an upgraded master could not take over: lines of detached rings, and
// a newly opened file.
func (w *Writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dropped += w.left()
	if w.next != nil {
		w.next.Close()
		w.next = nil
	}
}

// left returns the number of unwritten lines of detached rings.
func (w *Writer) left() (n uint64) {
	for _, s := range w.sources {
		if s.ring == nil {
			n += uint64(lines(s.rest))
		}
	}
	return n
}

// wait waits until a time (zero: no limit), an interruption, room in the outlet (if room
// is set), or a ring of the doorbell (if rings is set).
func (w *Writer) wait(until time.Time, room, rings bool) {
	for !w.interrupted() {
		ms := -1
		if !until.IsZero() {
			if ms = int((time.Until(until) + time.Millisecond - 1) / time.Millisecond); ms <= 0 {
				return
			}
		}
		rang, hasRoom := w.await(ms, room)
		if hasRoom || rang && rings {
			return
		}
	}
}

// await polls for ms milliseconds, or without a timeout if ms is -1. It first sleeps until
// calm has passed since the last ring, so that workers cannot keep it busy.
func (w *Writer) await(ms int, room bool) (rang, hasRoom bool) {
	time.Sleep(calm - time.Since(w.rung)) // not at all, if negative
	poll := []unix.PollFd{{Fd: int32(w.cfg.Doorbell.In), Events: unix.POLLIN}, {Fd: int32(w.out.Fd()), Events: unix.POLLOUT}}
	if !room {
		poll = poll[:1]
	}
	if n, err := unix.Poll(poll, ms); err != nil || n <= 0 {
		return false, false // EINTR: the caller checks the time again
	}
	if rang = poll[0].Revents != 0; rang {
		w.cfg.Doorbell.drain()
		w.rung = time.Now()
	}
	return rang, room && poll[1].Revents != 0
}
