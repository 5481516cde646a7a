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

// This file lets other goroutines query the pool and give it orders, as functions that the
// pool's own goroutine calls.

// Controller lets other goroutines query a running pool and give it orders. Its methods may be
// called from any goroutine; they return [ErrEnded] once the pool has ended.
type Controller struct {
	calls chan func() // those of the pool; a function that was sent is called
	pool  *pool       // set before the first call
	ended chan struct{}
}

// NewController returns a controller for one pool.
func NewController() *Controller {
	return &Controller{calls: make(chan func()), ended: make(chan struct{})}
}

// ErrEnded means that the pool has ended.
var ErrEnded = errors.New("the pool has ended")

// call makes the pool's goroutine call f, and waits until f has returned.
func (c *Controller) call(ctx context.Context, f func(*pool)) error {
	done := make(chan struct{})
	select {
	case c.calls <- func() { defer close(done); f(c.pool) }:
		<-done
		return nil
	case <-c.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("the pool did not respond: %w", ctx.Err())
	}
}

// View is a snapshot of a pool.
type View struct {
	State   string // status.Starting and so on
	Slots   int    // configured number of workers
	Reloads int    // number of reloads so far
	Failed  string // why the last reload failed, in one line; "": it did not
	Workers []WorkerView
	Totals  map[int]Totals
	Rescue  status.Rescue // totals so far
}

// WorkerView is one process, or a slot without one (PID 0).
type WorkerView struct {
	status.Worker     // without what it uses and has done
	Row           int // row of the scoreboard; -1: none
	draining      bool
}

// Totals count the processes of a slot.
type Totals struct {
	Generations int           // processes started
	Deaths      int           // unexpected exits
	CPU         time.Duration // CPU time of processes that have ended
}

// View returns the pool as it is now. It calls each, unless that is nil, with the pid of every
// process in it: none has been reaped yet.
func (c *Controller) View(ctx context.Context, each func(pid int)) (v View, err error) {
	err = c.call(ctx, func(p *pool) {
		v = p.view()
		for _, w := range v.Workers {
			if each != nil && w.PID != 0 {
				each(w.PID)
			}
		}
	})
	return v, err
}

func (p *pool) view() View {
	v := View{State: p.stateWord(), Slots: p.wanted, Reloads: p.reloads, Failed: p.reloadError, Rescue: p.rescues, Totals: make(map[int]Totals)}
	for slot, past := range p.totals {
		v.Totals[slot] = *past
	}
	v.Workers = p.viewWorkers()
	return v
}

// viewWorkers returns the workers by slot. The first of a slot has its accept queue.
func (p *pool) viewWorkers() (all []WorkerView) {
	for _, s := range p.slots {
		switch {
		case s.worker != nil:
		case s.want:
			all = append(all, WorkerView{Worker: status.Worker{Slot: s.index, State: status.WorkerBackoff}, Row: -1})
		case p.phase != stopping:
			all = append(all, WorkerView{Worker: status.Worker{Slot: s.index, State: status.WorkerQuarantined}, Row: -1})
		}
	}
	for _, w := range p.workers() {
		v := WorkerView{Worker: status.Worker{
			Slot: w.slot.index, PID: w.pid, State: w.stateWord(), Generation: w.generation, Started: w.started, Left: w.remaining.Bytes, Keeper: w.keeper, Sandbox: w.sandbox,
		}, Row: w.row, draining: w.draining()}
		if w.killed {
			v.Killed = p.Now().Sub(w.killedAt).Seconds()
		}
		all = append(all, v)
	}
	// Draining workers come after a slot in backoff, and after the worker that has the accept queue.
	rank := func(v *WorkerView) int {
		switch {
		case v.PID == 0:
			return 0
		case !v.draining:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(all, func(a, b WorkerView) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(rank(&a), rank(&b)), -cmp.Compare(a.Generation, b.Generation))
	})
	for i := range all {
		w := &all[i]
		if p.Queue != nil && (i == 0 || all[i-1].Slot != w.Slot) && !w.draining {
			w.Queue, w.QueueMax = p.Queue(w.Slot)
		}
	}
	return all
}

func (w *worker) stateWord() string {
	switch {
	case w.killed:
		return status.WorkerKilled
	case w.draining():
		return status.WorkerDraining
	case w.readySince.IsZero() || w.rescuing != nil:
		return status.WorkerStarting
	}
	return status.WorkerServing
}

func (p *pool) stateWord() string {
	switch {
	case p.phase == launching:
		return status.Starting
	case p.phase == stopping:
		return status.Draining
	case !p.lameDuckUntil.IsZero():
		return status.LameDuck
	}
	return status.Serving
}

// order is an order that is answered when it has been carried out, or cannot be.
type order struct {
	reload bool
	slots  int // for scaling: the number of slots that was ordered
	answer chan status.Outcome
}

// Reload replaces all workers, like SIGHUP, and waits for the end of the reload.
func (c *Controller) Reload(ctx context.Context) status.Outcome {
	return c.submit(ctx, order{reload: true}, (*pool).reload)
}

// Scale makes n the number of slots, as SIGTTIN and SIGTTOU do step by step, and waits until
// there are as many workers.
func (c *Controller) Scale(ctx context.Context, n int) status.Outcome {
	return c.submit(ctx, order{slots: n}, func(p *pool) { p.resize(n) })
}

// submit gives an order and waits until it is answered. begin begins the order, or alerts why it
// cannot be carried out.
func (c *Controller) submit(ctx context.Context, o order, begin func(*pool)) status.Outcome {
	o.answer = make(chan status.Outcome, 1) // for the only answer
	err := c.call(ctx, func(p *pool) {
		p.lastAlert = ""
		begin(p)
		switch {
		case p.phase == stopping:
			o.answer <- status.Outcome{Message: "the pool is stopping"}
		case p.lastAlert != "":
			o.answer <- status.Outcome{Message: p.lastAlert}
		default:
			p.orders = append(p.orders, o)
		}
	})
	if err != nil {
		return status.Outcome{Message: err.Error()}
	}
	select {
	case result := <-o.answer:
		return result
	case <-ctx.Done():
		return status.Outcome{Message: "not done yet: " + ctx.Err().Error()}
	}
}

// Stop drains the pool, like a first SIGTERM, and does not wait for the end. A second call
// changes nothing: it does not force the stop.
func (c *Controller) Stop(ctx context.Context) status.Outcome {
	var o status.Outcome
	err := c.call(ctx, func(p *pool) {
		if p.phase != stopping && p.lameDuckUntil.IsZero() {
			p.stop()
		}
		if o = (status.Outcome{OK: true, Message: "draining"}); p.phase != stopping {
			o.Message = fmt.Sprintf("lame duck for %v, then draining", p.lameDuckUntil.Sub(p.Now()).Round(time.Second))
		}
	})
	if err != nil {
		return status.Outcome{OK: errors.Is(err, ErrEnded), Message: err.Error()}
	}
	return o
}

// answerOrders answers the orders that have been carried out, or never will be.
func (p *pool) answerOrders() {
	p.orders = slices.DeleteFunc(p.orders, func(o order) bool {
		result, done := p.outcome(o)
		if done {
			o.answer <- result
		}
		return done
	})
}

func (p *pool) outcome(o order) (result status.Outcome, done bool) {
	switch {
	case p.phase == stopping:
		return status.Outcome{Message: "the pool is stopping"}, true
	case o.reload && p.reloadError != "":
		return status.Outcome{Message: p.reloadError}, true
	case !o.reload && p.wanted != o.slots:
		return status.Outcome{Message: p.wantedReason}, true
	case o.reload && p.reloading || len(p.slots) != p.wanted:
		return result, false
	}
	serving := 0
	for _, s := range p.slots {
		if s.want && (s.state != ready || s.worker.killed) {
			return result, false
		}
		if s.state == ready {
			serving++
		}
	}
	if !o.reload && serving < o.slots {
		return status.Outcome{Message: fmt.Sprintf("%d of %d workers serving; the others are quarantined, see the log", serving, o.slots)}, true
	}
	verb := "serving"
	if o.reload {
		verb = "replaced"
	}
	return status.Outcome{OK: true, Message: human.Plural(serving, "worker", "workers") + " " + verb}, true
}

// listing is a request for the list of a worker's connections.
type listing struct {
	id     uint32
	answer chan error
}

// List makes a worker write the list of its connections (status.ReadList) to a file, and waits
// until it has.
func (c *Controller) List(ctx context.Context, slot, pid, file int) error {
	answer := make(chan error, 1)
	err := c.call(ctx, func(p *pool) {
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
	case <-c.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("worker %d did not respond: %w", slot, ctx.Err())
	}
}

func (p *pool) list(w *worker, file int, answer chan error) {
	if w.listing != nil {
		w.listing.answer <- errors.New("superseded by a later request")
		w.listing = nil
	}
	p.lastListID++
	if err := w.proc.SendFile(ipc.Show{ID: p.lastListID}, file); err != nil {
		if errors.Is(err, unix.EPIPE) {
			err = status.ErrNoWorker
		}
		answer <- err
		return
	}
	w.listing = &listing{p.lastListID, answer}
}

// listed answers the request for a list that has been written, if it still waits.
func (p *pool) listed(w *worker, m ipc.Shown) {
	if w.listing != nil && w.listing.id == m.ID {
		w.listing.answer <- nil
		w.listing = nil
	}
}

// closeController ends all waiting calls with [ErrEnded].
func (p *pool) closeController() {
	for _, o := range p.orders {
		o.answer <- status.Outcome{Message: ErrEnded.Error()}
	}
	p.orders = nil
	close(p.Controller.ended)
}
