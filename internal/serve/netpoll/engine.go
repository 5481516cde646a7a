// Package netpoll is the engine with a goroutine for each connection, on Go's network poller.
// In the serial model it serves one connection at a time.
package netpoll

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
)

// Engine serves the connections of a worker's listening sockets.
type Engine struct {
	cfg   serve.Config
	clock serve.Clock

	recvBuffers sync.Pool                         // of *[]byte, Recv bytes long
	outBuffers  sync.Pool                         // of *[]byte, serve.OutSize bytes large
	secures     sync.Pool                         // of *secure
	credentials atomic.Pointer[serve.Credentials] // certificates for new connections, challenges for all

	listeners []*os.File    // of Run
	ended     chan struct{} // capacity 1: a session has ended
	turn      chan struct{} // capacity 1: held by the session being served in the serial model

	told  chan struct{}               // closed when a drain is ordered
	drain atomic.Pointer[serve.Drain] // nil: not draining; written with mu held

	mu       sync.Mutex
	limits   *serve.Limits         // guarded by mu, except TooSlow
	warned   time.Time             // when a lack of descriptors was last logged; guarded by mu
	sessions map[*session]struct{} // guarded by mu
	wg       sync.WaitGroup        // of the sessions' goroutines
}

// New returns an engine.
func New(cfg serve.Config) *Engine {
	e := &Engine{
		cfg:      cfg,
		ended:    make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		told:     make(chan struct{}),
		sessions: make(map[*session]struct{}),
	}
	e.clock.Start(&e.cfg)
	if e.cfg.Row == nil {
		e.cfg.Row = new(scoreboard.Row)
	}
	e.limits = serve.NewLimits(&e.cfg)
	e.recvBuffers.New = func() any {
		b := make([]byte, cfg.Recv)
		return &b
	}
	e.outBuffers.New = func() any {
		b := make([]byte, 0, serve.OutSize)
		return &b
	}
	e.secures.New = func() any { return newSecure() }
	return e
}

// Run serves connections from the listening sockets, which it owns, and carries out orders
// until it has drained: it empties the accept queues (see serve.Drain), closes the sockets,
// waits for all connections to end, and returns. An error means that a listening socket
// failed; all connections have ended then too.
func (e *Engine) Run(listeners []serve.Listener, orders *serve.Orders) error {
	for _, l := range listeners {
		e.listeners = append(e.listeners, os.NewFile(uintptr(l.FD), "listener"))
	}
	e.takeOrders(orders) // the first connection needs the first credentials
	ended := make(chan struct{})
	var ordered sync.WaitGroup
	ordered.Go(func() { e.carryOutAll(orders, ended) })
	defer ordered.Wait()
	defer close(ended)
	var accepting sync.WaitGroup
	errs := make([]error, len(listeners))
	for i, l := range listeners {
		accepting.Go(func() { errs[i] = e.listen(e.listeners[i], l) })
	}
	accepting.Wait()
	if e.cfg.QueuesEmpty != nil {
		e.cfg.QueuesEmpty()
	}
	e.waitAll()
	return errors.Join(errs...)
}

// listen accepts from one listening socket until the engine drains and the accept queue is
// empty, and closes it. If the socket fails, the engine drains.
func (e *Engine) listen(listener *os.File, from serve.Listener) error {
	defer listener.Close()
	err := e.acceptAll(listener, from)
	if err == nil {
		err = e.acceptRest(listener, from)
	}
	if err != nil {
		e.carryOut(serve.Drain{Kept: true})
	}
	return err
}

// carryOutAll carries out orders as they arrive, and surveys the sessions each second,
// until ended is closed.
func (e *Engine) carryOutAll(orders *serve.Orders, ended <-chan struct{}) {
	defer orders.End()
	woken := make(chan struct{}, 1)
	orders.Start(func() {
		select {
		case woken <- struct{}{}:
		default: // a wake-up is pending
		}
	})
	tick := time.NewTicker(serve.SurveyEvery)
	defer tick.Stop()
	for {
		e.survey()
		select {
		case <-tick.C:
		case <-woken:
			e.takeOrders(orders)
		case <-ended:
			e.survey()
			return
		}
	}
}

func (e *Engine) takeOrders(orders *serve.Orders) {
	for order, ok := orders.Take(); ok; order, ok = orders.Take() {
		e.carryOut(order)
	}
}

func (e *Engine) carryOut(order serve.Order) {
	switch o := order.(type) {
	case serve.Drain:
		e.beginDrain(o)
	case serve.Credentials:
		e.credentials.Store(&o)
	case serve.Share:
		e.mu.Lock()
		e.limits.Share(o.Slots)
		e.mu.Unlock()
		e.makeRoom(nil)
	case serve.Confirm:
		o()
	case serve.List:
		o.Reply <- e.seen()
	case serve.HandOver: // never sent to this engine
		unix.Close(o.FD)
	case serve.TakeOver:
		unix.Close(o.FD)
	}
}

// waitAll waits for the last connection to end, and reports progress.
func (e *Engine) waitAll() {
	ended := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(ended)
	}()
	tick := time.NewTicker(serve.ReportEvery)
	defer tick.Stop()
	for {
		e.report()
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) report() {
	if e.cfg.Report == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var left int64
	for s := range e.sessions {
		left += s.left.Load()
	}
	e.cfg.Report(len(e.sessions), left)
}

// beginDrain wakes the accepting goroutines and every connection that waits for a request. It
// stores drain first: a waiter arms its deadline before it reads drain, or does both with mu
// held, so it either sees drain or is woken.
func (e *Engine) beginDrain(how serve.Drain) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.drain.Load()
	if before != nil && (before.Last() || !how.Last()) {
		return
	}
	e.drain.Store(&how)
	for _, listener := range e.listeners {
		listener.SetReadDeadline(past)
	}
	if before != nil {
		return // the sessions drain already
	}
	close(e.told)
	for s := range e.sessions {
		s.file.SetReadDeadline(past)
	}
}

// past is a deadline in the past.
var past = time.Unix(1, 0)
