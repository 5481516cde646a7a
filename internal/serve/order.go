package serve

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/tlsconn"
)

// Order is an order to a serving worker: one of the types below.
type Order interface {
	// discard releases what belongs to an order that will never be taken.
	discard()
}

// Drain says that the worker stops accepting, finishes what is under way and
// exits. The zero value is for the last worker, after which none listens any more.
// The first Drain decides how the worker drains. Of later ones only the zero value
// adds anything: no worker will take over.
type Drain struct {
	Kept     bool // another worker has the listening socket and its accept queue
	Steered  bool // the kernel steers new connections elsewhere; those on their way here are this worker's
	HandOver bool // connections are served on until they can be handed over
}

// HandOver says to hand the connections over on this channel, which is the
// order's to close; see package ipc. It replaces an earlier one.
type HandOver struct{ FD int }

// TakeOver says to take the connections over that come on this channel, which
// is the order's to close.
type TakeOver struct{ FD int }

// List asks for a list of all connections. Reply has room for it; it is closed
// without one when the worker has ended.
type List struct{ Reply chan<- []Seen }

// Credentials are for the connections that begin from now on; others keep theirs.
type Credentials struct {
	TLS        *tlsconn.Config   // nil: handshakes fail, and are counted
	Challenges map[string]string // see conn.Config
}

// Share says among how many slots the limits of the pool are divided, see [Limits.Share].
type Share struct{ Slots int }

// Confirm is called by the engine when all orders before it are in force. It must not
// wait.
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

// Leaves reports whether what waits at a socket is left to other processes.
func (o Drain) Leaves(l Listener) bool {
	return o.Kept || l.Foreign || l.Shared && o.Steered
}

// Quiet returns how long no connection must have arrived before the listening socket
// is closed, and the limit of the whole wait.
func (o Drain) Quiet() (quietFor, most time.Duration) {
	switch {
	case o.Kept:
		return 0, 0
	case o.Steered:
		return Deferred, Deferred
	}
	return Quiet, QuietMax
}

// Orders is the only way to give an engine orders: a queue into which any goroutine
// may put them, and from which the engine takes them first in, first out. Each order
// holds a descriptor or a caller until it is taken, which bounds the queue.
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

// Start makes wake be called whenever there are orders to take, at once if there are
// some already. wake must not wait, and is not called after End.
func (q *Orders) Start(wake func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake = wake; len(q.queue) > 0 {
		wake()
	}
}

// Take takes the next order; false if there is none. The engine takes orders until
// there is none, because it is not woken for each.
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
