package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gather is how long lines wait for others to be written with.
	gather = 500 * time.Millisecond
	// retry is how long after an error writing is tried again.
	retry = time.Second
	// slow is after how long a reader that takes nothing is talked about.
	slow = 5 * time.Second
	// quiet is the least time between two alerts.
	quiet = time.Minute
)

var (
	errStuck = errors.New("its reader does not keep up")
	errBurst = errors.New("lines come faster than they are written")
)

// verdict is what came of an attempt to write.
type verdict uint8

const (
	dry     verdict = iota // there was nothing
	wrote                  // there may be more
	blocked                // the reader is slow
	failed                 // it takes nothing, for now
)

// run is the goroutine. It sleeps without a timer while there is nothing: every
// ring asks for it at its first line then. After that it comes every half second,
// or when a ring is a quarter full, until a half second has brought nothing.
func (w *Writer) run() {
	defer close(w.done)
	defer func() { w.out.close() }()
	busy := false
	for {
		if o := w.ordered(); o != nil {
			err := w.finish(o.until)
			if o.last {
				w.end()
				o.answer <- err
				return
			}
			w.park(o, err)
			continue
		}
		v, err := w.step()
		switch v {
		case wrote:
			busy = true
		case blocked:
			w.wait(time.Now().Add(slow), true, false)
			w.stuck()
		case failed:
			w.alert(err)
			w.wait(time.Now().Add(retry), false, false)
		case dry:
			w.burst()
			if !busy && w.sleepy() {
				w.wait(time.Time{}, false, true)
			}
			busy = false
			if !w.pressed() {
				w.wait(time.Now().Add(gather), false, true)
			}
		}
	}
}

// step writes at most one batch.
func (w *Writer) step() (verdict, error) {
	old := w.prepare()
	if old != nil {
		old.close()
	}
	p := w.batch.lines[w.batch.sent:]
	if len(p) == 0 {
		return dry, nil
	}
	n, err := w.out.write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batch.advance(n)
	switch {
	case err == nil:
		return wrote, nil
	case err == unix.EAGAIN:
		return blocked, nil
	case gone(err):
		w.dropped += uint64(lines(w.batch.lines[w.batch.sent:]))
		w.batch.advance(len(w.batch.lines) - w.batch.sent)
	}
	return failed, err
}

// gone reports that nobody will ever read what was written, and not what follows.
func gone(err error) bool {
	return err == unix.EPIPE || err == unix.ECONNRESET || err == unix.ENOTCONN
}

// prepare makes sure that there is a batch, if there is anything, and that it goes
// where it should. It returns the outlet that is no longer used.
func (w *Writer) prepare() (old *outlet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		old, w.out, w.next = w.out, w.next, nil
		if w.batch.torn() && !w.out.same(old) {
			// Its beginning is elsewhere, so that its end is of no use.
			w.batch.advance(bytes.IndexByte(w.batch.lines[w.batch.sent:], '\n') + 1)
			w.dropped++
		}
	}
	if w.batch.empty() {
		w.fill()
	}
	return old
}

// fill makes a batch. Every source has its turn to be the first.
func (w *Writer) fill() {
	w.hear()
	w.arm()
	w.batch.reset()
	w.prune()
	for i := range w.sources {
		w.batch.add(w.sources[(w.turn+i)%len(w.sources)])
	}
	w.turn++
}

// prune forgets the detached rings that are empty.
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

// pressed reports that a ring is a quarter full, and makes every other one ring
// the bell when it is.
func (w *Writer) pressed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arm()
	return slices.ContainsFunc(w.sources, func(s *source) bool {
		return s.ring != nil && s.ring.Waiting() >= s.ring.quarter()
	})
}

// arm makes rings ring the bell when they are a quarter full.
func (w *Writer) arm() {
	for _, s := range w.sources {
		if s.ring != nil {
			s.ring.ringAt(s.ring.quarter())
		}
	}
}

// sleepy makes the next line of any ring ring the bell, and reports whether there
// is none yet.
func (w *Writer) sleepy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.ring != nil {
			s.ring.ringAt(1)
		}
	}
	for _, s := range w.sources {
		if a, _ := s.readable(); len(a) > 0 {
			return false
		}
	}
	return true
}

// finish writes everything, until that is done or impossible or time is up.
func (w *Writer) finish(until time.Time) error {
	for {
		v, err := w.step()
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

// unfinished says how many lines are left and why.
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
	return fmt.Errorf("write %s: %w; lines left: %d", w.out.name, err, n)
}

// ordered takes what Close or Suspend want.
func (w *Writer) ordered() *order {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing, w.order = w.order, nil
	return w.doing
}

// called reports that there is something else to do than to wait.
func (w *Writer) called() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next != nil || w.order != nil
}

// park answers and does nothing until Resume or another order.
func (w *Writer) park(o *order, err error) {
	o.answer <- err
	for w.isParked(o) {
		w.await(-1, false)
	}
}

func (w *Writer) isParked(o *order) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doing == o && w.order == nil
}

// end gives up what nobody can go on with: lines of rings that are detached, and
// a file that was opened and is not needed.
func (w *Writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.ring == nil {
			w.dropped += uint64(lines(s.rest))
		}
	}
	if w.next != nil {
		w.next.close()
		w.next = nil
	}
}

// wait returns at a time (the zero one is never), when somebody calls, when the
// outlet has room, if that matters, or when a worker rings, if that does.
func (w *Writer) wait(until time.Time, room, rings bool) {
	for !w.called() {
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

// await waits so many milliseconds, -1 is for ever.
func (w *Writer) await(ms int, room bool) (rang, hasRoom bool) {
	poll := []unix.PollFd{{Fd: int32(w.doorbell), Events: unix.POLLIN}, {Fd: int32(w.out.fd), Events: unix.POLLOUT}}
	if !room {
		poll = poll[:1]
	}
	if n, err := unix.Poll(poll, ms); err != nil || n <= 0 {
		return false, false // EINTR: the caller looks at the time again
	}
	if rang = poll[0].Revents != 0; rang {
		hush(w.doorbell)
	}
	return rang, room && poll[1].Revents != 0
}

// stuck tells of a reader that does not keep up, once lines have been lost by it.
func (w *Writer) stuck() { w.tellFull(errStuck) }

// burst tells of lines that were lost though everything works.
func (w *Writer) burst() { w.tellFull(errBurst) }

func (w *Writer) tellFull(cause error) {
	w.mu.Lock()
	w.hear()
	full := w.full
	w.mu.Unlock()
	if full != w.toldFull && w.alert(cause) {
		w.toldFull = full
	}
}

// alert tells what is wrong, if nobody was told anything for a while.
func (w *Writer) alert(cause error) bool {
	now := w.cfg.now()
	if !w.told.IsZero() && now.Sub(w.told) < quiet {
		return false
	}
	w.told = now
	w.cfg.Alert(fmt.Sprintf("access log: write %s: %v; %d lines lost so far", w.out.name, cause, w.Lost()))
	return true
}
