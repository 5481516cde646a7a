package serve

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Order is what a worker is told to do while it serves: one of the types below.
type Order interface {
	// discard does what whoever gave an order relies on when nobody will ever
	// take it.
	discard()
}

// Drain says that the worker stops accepting, finishes what is under way and
// ends. The zero value is for the last worker, after which nobody listens any
// more. The first Drain decides how the worker drains; of those that come later
// only the zero value says something new: nobody will come to take anything
// over.
type Drain struct {
	Kept     bool // another worker has the listening socket, and what waits in its queue
	Steered  bool // the kernel sends new connections to others; what is on its way here is for this one
	HandOver bool // connections are served on until they can be handed over
}

// HandOver says to hand the connections over on this channel, which is the
// order's to close; see package ipc. It takes the place of an earlier one.
type HandOver struct{ FD int }

// TakeOver says to take the connections over that come on this channel, which
// is the order's to close.
type TakeOver struct{ FD int }

// List asks for a list of all connections. Reply has room for it; it is closed
// without one when the worker has ended.
type List struct{ Reply chan<- []Seen }

func (Drain) discard()      {}
func (o HandOver) discard() { unix.Close(o.FD) }
func (o TakeOver) discard() { unix.Close(o.FD) }
func (o List) discard()     { close(o.Reply) }

// Last reports whether nobody listens any more after this worker.
func (o Drain) Last() bool { return o == Drain{} }

// Quiet is for how long nothing must have arrived until the listening socket is
// closed, and for how long altogether.
func (o Drain) Quiet() (quietFor, most time.Duration) {
	switch {
	case o.Kept:
		return 0, 0
	case o.Steered:
		return Deferred, Deferred
	}
	return Quiet, QuietMax
}

// Orders is the one way on which an engine is told anything: a queue that any
// goroutine may put orders into, and from which the engine takes them in the
// order in which they came. An order holds a descriptor or a place of the
// caller's until it has been taken, so that the queue is bounded by those.
type Orders struct {
	mu    sync.Mutex
	queue []Order
	wake  func() // nil before Start
	ended bool
}

// Put adds an order and wakes the engine. When that has ended, the order is
// discarded: its descriptor or its channel is closed.
func (q *Orders) Put(o Order) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		o.discard()
		return
	}
	if q.queue = append(q.queue, o); q.wake != nil {
		q.wake()
	}
}

// Start has the engine woken whenever there is something to take, at once if
// there is. wake does not wait, and is not called after End.
func (q *Orders) Start(wake func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake = wake; len(q.queue) > 0 {
		wake()
	}
}

// Take takes the next order; false if there is none. The engine goes on taking
// until there is none: it is not woken for each.
func (q *Orders) Take() (Order, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, false
	}
	o := q.queue[0]
	q.queue[0] = nil
	if q.queue = q.queue[1:]; len(q.queue) == 0 {
		q.queue = nil
	}
	return o, true
}

// End discards what has not been taken, and whatever comes later.
func (q *Orders) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for _, o := range q.queue {
		o.discard()
	}
	q.queue = nil
}
