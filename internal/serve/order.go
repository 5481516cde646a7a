package serve

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/tlsconn"
)

// Order is an order to a serving worker: one of the types below.
type Order interface {
	// discard releases the resources of an order that is not carried out.
	discard()
}

// Drain makes the worker stop accepting, finish what is under way and exit. The first Drain
// decides how. After it only the zero value has an effect: it means that no other worker
// listens after this one.
type Drain struct {
	Kept     bool // another worker takes over the listening socket with its accept queue
	Steered  bool // the kernel steers new connections elsewhere; this worker serves those already in its queues
	HandOver bool // connections are served until they can be handed over
}

// HandOver makes the worker hand its connections over on a handover channel, which it closes;
// see package ipc. It replaces an earlier channel.
type HandOver struct{ FD int }

// TakeOver makes the worker take over the connections from a handover channel, which it
// closes.
type TakeOver struct{ FD int }

// List requests a list of all connections on Reply, which must have capacity 1. Reply is
// closed without a list if the worker has ended.
type List struct{ Reply chan<- []Seen }

// Credentials replaces the credentials of new connections.
type Credentials struct {
	TLS        *tlsconn.Config   // nil: handshakes fail
	Challenges map[string]string // see conn.Config
}

// Share is the number of slots by which the limits of the pool are divided, see
// [Limits.Share].
type Share struct{ Slots int }

// Confirm is called once all earlier orders are in force. It must not block.
type Confirm func()

func (Drain) discard()       {}
func (Confirm) discard()     {}
func (Share) discard()       {}
func (Credentials) discard() {}
func (o HandOver) discard()  { unix.Close(o.FD) }
func (o TakeOver) discard()  { unix.Close(o.FD) }
func (o List) discard()      { close(o.Reply) }

// Last reports whether no other worker listens after this one.
func (o Drain) Last() bool { return o == Drain{} }

// Leaves reports whether the accept queue of a socket is left to another process.
func (o Drain) Leaves(l Listener) bool {
	return o.Kept || l.Foreign || l.Shared && o.Steered
}

// Quiet returns how long no connection must arrive before the listening socket is closed, and
// the limit of that wait.
func (o Drain) Quiet() (quietFor, most time.Duration) {
	switch {
	case o.Kept:
		return 0, 0
	case o.Steered:
		return Deferred, Deferred
	}
	return Quiet, QuietMax
}

// Orders is an engine's queue of orders, first in, first out. Any goroutine may put orders
// into it. Its length is bounded because each order holds a descriptor or a waiting caller.
type Orders struct {
	mu    sync.Mutex
	queue []Order
	wake  func() // nil before Start
	ended bool
}

// Put adds an order and wakes the engine. If the engine has ended, the order is
// discarded: its descriptor or channel is closed.
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

// Start makes Put call wake, and calls it at once if orders are queued. wake must not block,
// and is not called after End.
func (q *Orders) Start(wake func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake = wake; len(q.queue) > 0 {
		wake()
	}
}

// Take removes the next order; false if there is none. The engine must take all orders,
// because it may be woken once for several.
func (q *Orders) Take() (Order, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, false
	}
	o := q.queue[0]
	q.queue = slices.Delete(q.queue, 0, 1)
	return o, true
}

// End discards the orders that have not been taken, and all later ones.
func (q *Orders) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for _, o := range q.queue {
		o.discard()
	}
	q.queue = nil
}
