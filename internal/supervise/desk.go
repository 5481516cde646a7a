package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
)

// This file is how other goroutines look at the pool and give it orders: their
// questions are functions that the pool's own goroutine runs.

// Desk is where they ask. Its methods may be called from any goroutine; with
// [ErrEnded] they say that the pool has ended.
type Desk struct {
	asks  chan func(*pool) // unbuffered: what is in it is done
	ended chan struct{}
}

// NewDesk returns a desk for one pool.
func NewDesk() *Desk {
	return &Desk{asks: make(chan func(*pool)), ended: make(chan struct{})}
}

// ErrEnded says that there is no pool any more.
var ErrEnded = errors.New("the pool has ended")

// queue is nil for no desk.
func (d *Desk) queue() <-chan func(*pool) {
	if d == nil {
		return nil
	}
	return d.asks
}

// ask lets the pool's goroutine call f, and waits until it has.
func (d *Desk) ask(ctx context.Context, f func(*pool)) error {
	done := make(chan struct{})
	select {
	case d.asks <- func(p *pool) { defer close(done); f(p) }:
		<-done
		return nil
	case <-d.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("the pool does not answer: %w", ctx.Err())
	}
}

// View is a pool at a moment.
type View struct {
	State   string // status.Starting and so on
	Slots   int    // that there are to be
	Reloads int    // so far
	Workers []WorkerView
	Past    map[int]Past
}

// WorkerView is one process, or a slot without one (PID 0).
type WorkerView struct {
	Slot, PID  int
	Row        int    // of the scoreboard; -1: none
	State      string // status.WorkerStarting and so on
	Generation int    // how many processes the slot has had, this one included
	Started    time.Time
	Queue      int   // connections that wait to be accepted from the slot's socket, if it has the slot
	QueueMax   int   // and how many may
	Left       int64 // bytes that it still has to send, as it last said
}

// Past is what has become of a slot's processes.
type Past struct {
	Generations int           // that were started
	Deaths      int           // unwanted ones
	CPU         time.Duration // of those that have ended
}

// Look returns what there is to see.
func (d *Desk) Look(ctx context.Context) (v View, err error) {
	err = d.ask(ctx, func(p *pool) { v = p.view() })
	return v, err
}

func (p *pool) view() View {
	v := View{State: p.stateWord(), Slots: p.wanted, Reloads: p.reloads, Past: make(map[int]Past)}
	for slot, past := range p.past {
		v.Past[slot] = *past
	}
	for _, s := range p.slots {
		switch {
		case s.worker != nil:
		case s.want:
			v.Workers = append(v.Workers, WorkerView{Slot: s.index, Row: -1, State: status.WorkerBackoff})
		case p.phase != stopping:
			v.Workers = append(v.Workers, WorkerView{Slot: s.index, Row: -1, State: status.WorkerQuarantined})
		}
	}
	for _, w := range p.workers() {
		word := status.WorkerServing
		switch {
		case w.finishing():
			word = status.WorkerDraining
		case w.readySince.IsZero():
			word = status.WorkerStarting
		}
		v.Workers = append(v.Workers, WorkerView{
			Slot: w.slot.index, PID: w.pid, Row: w.row, State: word, Generation: w.generation, Started: w.started, Left: w.left.Bytes,
		})
	}
	slices.SortStableFunc(v.Workers, func(a, b WorkerView) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), -cmp.Compare(a.Generation, b.Generation))
	})
	for i := range v.Workers {
		w := &v.Workers[i]
		if p.Queue != nil && (i == 0 || v.Workers[i-1].Slot != w.Slot) && w.State != status.WorkerDraining {
			w.Queue, w.QueueMax = p.Queue(w.Slot)
		}
	}
	return v
}

func (p *pool) stateWord() string {
	switch {
	case p.phase == launching:
		return status.Starting
	case p.phase == stopping:
		return status.Draining
	case !p.duckUntil.IsZero():
		return status.LameDuck
	}
	return status.Serving
}

// promise is an order that is answered when it has been carried out, or cannot
// be.
type promise struct {
	reload bool
	slots  int // else: how many there were to be
	answer chan status.Outcome
}

// Reload replaces all workers, like SIGHUP, and waits until they are.
func (d *Desk) Reload(ctx context.Context) status.Outcome {
	return d.order(ctx, promise{reload: true}, func(p *pool) string {
		p.said = ""
		p.reload()
		return p.said
	})
}

// Scale makes n the number of slots, as SIGTTIN and SIGTTOU do, and waits until
// there are as many workers.
func (d *Desk) Scale(ctx context.Context, n int) status.Outcome {
	return d.order(ctx, promise{slots: n}, func(p *pool) string {
		p.said = ""
		p.resize(n)
		return p.said
	})
}

// order begins something and waits for its end. begin returns why it cannot be
// done, or "".
func (d *Desk) order(ctx context.Context, pr promise, begin func(*pool) string) status.Outcome {
	pr.answer = make(chan status.Outcome, 1) // for the one that comes
	err := d.ask(ctx, func(p *pool) {
		why := begin(p)
		switch {
		case p.phase == stopping:
			pr.answer <- status.Outcome{Message: "the pool is stopping"}
		case why != "":
			pr.answer <- status.Outcome{Message: why}
		default:
			p.promises = append(p.promises, pr)
		}
	})
	if err != nil {
		return status.Outcome{Message: err.Error()}
	}
	select {
	case o := <-pr.answer:
		return o
	case <-ctx.Done():
		return status.Outcome{Message: "not done yet: " + ctx.Err().Error()}
	}
}

// Stop lets the pool end, like a first SIGTERM, and does not wait for the end.
// Two who stop it want the same: nothing is cut.
func (d *Desk) Stop(ctx context.Context) status.Outcome {
	var o status.Outcome
	err := d.ask(ctx, func(p *pool) {
		if p.phase != stopping && p.duckUntil.IsZero() {
			p.finish()
		}
		if o = (status.Outcome{OK: true, Message: "draining"}); p.phase != stopping {
			o.Message = fmt.Sprintf("serving on for %v, then draining", p.duckUntil.Sub(p.Now()).Round(time.Second))
		}
	})
	if err != nil {
		return status.Outcome{OK: errors.Is(err, ErrEnded), Message: err.Error()}
	}
	return o
}

// keepPromises answers the orders that have been carried out, or that never will
// be.
func (p *pool) keepPromises() {
	p.promises = slices.DeleteFunc(p.promises, func(pr promise) bool {
		o, done := p.outcome(pr)
		if done {
			pr.answer <- o
		}
		return done
	})
}

func (p *pool) outcome(pr promise) (o status.Outcome, done bool) {
	switch {
	case p.phase == stopping:
		return status.Outcome{Message: "the pool is stopping"}, true
	case pr.reload && p.failed != "":
		return status.Outcome{Message: p.failed}, true
	case !pr.reload && p.wanted != pr.slots:
		return status.Outcome{Message: fmt.Sprintf("there are to be %d workers now: %s", p.wanted, p.said)}, true
	case pr.reload && p.inReload || len(p.slots) != p.wanted:
		return o, false
	}
	serving := 0
	for _, s := range p.slots {
		if s.want && s.state != ready {
			return o, false
		}
		if s.state == ready {
			serving++
		}
	}
	if !pr.reload && serving < pr.slots {
		return status.Outcome{Message: fmt.Sprintf("%d of %d workers serve; the others were given up, the log says why", serving, pr.slots)}, true
	}
	verb := "serving"
	if pr.reload {
		verb = "replaced"
	}
	return status.Outcome{OK: true, Message: human.Plural(serving, "worker", "workers") + " " + verb}, true
}

// listing is who waits for the list of a worker's connections.
type listing struct {
	id     uint32
	answer chan error
}

// List lets a worker write the list of its connections, as a status.Connections
// in JSON, into a file, and waits until it has.
func (d *Desk) List(ctx context.Context, slot, pid, file int) error {
	answer := make(chan error, 1)
	err := d.ask(ctx, func(p *pool) {
		i := slices.IndexFunc(p.workers(), func(w *worker) bool {
			return w.slot.index == slot && w.pid == pid
		})
		if i < 0 {
			answer <- status.ErrNoWorker
			return
		}
		p.list(p.workers()[i], file, answer)
	})
	if err != nil {
		return err
	}
	select {
	case err = <-answer:
		return err
	case <-d.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("worker %d does not answer: %w", slot, ctx.Err())
	}
}

func (p *pool) list(w *worker, file int, answer chan error) {
	if w.asked != nil {
		w.asked.answer <- errors.New("somebody else has asked since")
		w.asked = nil
	}
	p.shown++
	if err := w.proc.SendFile(ipc.Show{ID: p.shown}, file); err != nil {
		if errors.Is(err, unix.EPIPE) {
			err = status.ErrNoWorker
		}
		answer <- err
		return
	}
	w.asked = &listing{p.shown, answer}
}

// listed is told that a list has been written. One that was asked for by
// somebody who has gone is nobody's.
func (p *pool) listed(w *worker, m ipc.Shown) {
	if w.asked != nil && w.asked.id == m.ID {
		w.asked.answer <- nil
		w.asked = nil
	}
}

// close tells everybody who waits that there is no pool any more.
func (p *pool) close() {
	for _, pr := range p.promises {
		pr.answer <- status.Outcome{Message: ErrEnded.Error()}
	}
	if p.promises = nil; p.Desk != nil {
		close(p.Desk.ended)
	}
}
