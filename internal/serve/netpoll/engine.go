// Package netpoll is the engine that waits with a goroutine for each connection
// on Go's poller. In the serial model it serves one at a time.
package netpoll

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
)

// Engine serves the connections of one listening socket.
type Engine struct {
	cfg   serve.Config
	clock serve.Clock

	recvBuffers sync.Pool // of *[]byte, Recv bytes long
	outBuffers  sync.Pool // of *[]byte, serve.OutSize bytes large

	limit  serve.Limit   // the accepting goroutine's
	warned time.Time     // when a lack of descriptors was last logged
	ended  chan struct{} // a session has; has room for it
	turn   chan struct{} // held by the one session that is served in the serial model

	told  chan struct{}               // closed when a drain is ordered
	drain atomic.Pointer[serve.Drain] // how; nil: not told. Written with mu held

	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	wg       sync.WaitGroup        // of the sessions' goroutines
}

// New returns an engine.
func New(cfg serve.Config) *Engine {
	e := &Engine{
		cfg:      cfg,
		limit:    serve.NewLimit(&cfg),
		ended:    make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		told:     make(chan struct{}),
		sessions: make(map[*session]struct{}),
	}
	e.clock.Start(&e.cfg)
	if e.cfg.Row == nil {
		e.cfg.Row = new(scoreboard.Row)
	}
	e.recvBuffers.New = func() any {
		b := make([]byte, cfg.Recv)
		return &b
	}
	e.outBuffers.New = func() any {
		b := make([]byte, 0, serve.OutSize)
		return &b
	}
	return e
}

// Run serves what arrives at the listening socket, a descriptor which it
// takes over and which must not block, and obeys the orders until it has
// drained: it takes what waits in the accept queue (see serve.Drain), closes the
// socket, lets every connection end, and returns. An error means that the socket
// itself failed; the connections have ended then too.
func (e *Engine) Run(fd int, orders *serve.Orders) error {
	listener := os.NewFile(uintptr(fd), "listener")
	ended := make(chan struct{})
	var obeying sync.WaitGroup
	obeying.Go(func() { e.obeyAll(listener, orders, ended) })
	defer obeying.Wait()
	defer close(ended)
	err := e.acceptAll(listener)
	if err == nil {
		err = e.acceptRest(listener)
	} else {
		e.obey(listener, serve.Drain{Kept: true})
	}
	listener.Close()
	e.waitAll()
	return err
}

// obeyAll carries out orders as they arrive, and surveys the sessions each second,
// until ended is closed.
func (e *Engine) obeyAll(listener *os.File, orders *serve.Orders, ended <-chan struct{}) {
	defer orders.End()
	woken := make(chan struct{}, 1)
	orders.Start(func() {
		select {
		case woken <- struct{}{}:
		default: // it is about to check anyway
		}
	})
	tick := time.NewTicker(serve.SurveyEvery)
	defer tick.Stop()
	for {
		e.survey()
		select {
		case <-tick.C:
		case <-woken:
			for order, ok := orders.Take(); ok; order, ok = orders.Take() {
				e.obey(listener, order)
			}
		case <-ended:
			e.survey()
			return
		}
	}
}

func (e *Engine) obey(listener *os.File, order serve.Order) {
	switch o := order.(type) {
	case serve.Drain:
		e.beginDrain(listener, o)
	case serve.List:
		o.Reply <- e.seen()
	case serve.HandOver: // never ordered from this engine
		unix.Close(o.FD)
	case serve.TakeOver:
		unix.Close(o.FD)
	}
}

// waitAll waits for the last connection to end, and reports the progress.
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

// beginDrain wakes the accepting goroutine and every connection that waits
// for a request. The order matters: a waiter arms a deadline and then reads drain, or
// does both with mu held, so it either sees drain or is woken.
func (e *Engine) beginDrain(listener *os.File, how serve.Drain) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.drain.Load()
	if before != nil && (before.Last() || !how.Last()) {
		return
	}
	e.drain.Store(&how)
	listener.SetReadDeadline(past)
	if before != nil {
		return // the sessions know
	}
	close(e.told)
	for s := range e.sessions {
		s.file.SetReadDeadline(past)
	}
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)
