// Package netpoll is the engine that waits with a goroutine for each connection
// on Go's poller. In the serial model it serves one at a time.
package netpoll

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
)

// Engine serves the connections of one listening socket.
type Engine struct {
	cfg   serve.Config
	clock serve.Clock

	recvBuffers sync.Pool // of *[]byte, Recv bytes long
	outBuffers  sync.Pool // of *[]byte, serve.OutSize bytes large

	maxClients int           // connections that leave a reserve of descriptors for files
	warned     time.Time     // when a lack of descriptors was last logged
	turn       chan struct{} // held by the one session that is served in the serial model

	draining atomic.Bool
	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	wg       sync.WaitGroup        // of the sessions' goroutines
}

// New returns an engine.
func New(cfg serve.Config) *Engine {
	e := &Engine{
		cfg:        cfg,
		maxClients: serve.MaxClients(),
		turn:       make(chan struct{}, 1),
		sessions:   make(map[*session]struct{}),
	}
	e.clock.Start(&e.cfg.Conn)
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
// takes over and which must not block, until drain is closed. Then it takes
// what waits in the accept queue (see serve.Leaving), closes the socket, lets
// every connection end, and returns. An error means that the socket itself failed; the
// connections have ended then too.
func (e *Engine) Run(fd int, drain <-chan struct{}) error {
	listener := os.NewFile(uintptr(fd), "listener")
	ended := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() { e.lookAround(ended) })
	defer looking.Wait()
	defer close(ended)
	stop := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case <-drain:
			e.beginDrain(listener)
		case <-stop:
		}
	}()
	err := e.acceptAll(listener, drain)
	close(stop)
	<-watcher
	if err == nil {
		err = e.acceptRest(listener, e.cfg.Leaves())
	} else {
		e.beginDrain(listener)
	}
	listener.Close()
	e.waitAll()
	return err
}

// waitAll waits for the last connection to end, and reports how far that is.
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
// for a request. The order matters: a session arms its deadline and then
// looks at draining, so that it either sees the flag or is woken.
func (e *Engine) beginDrain(listener *os.File) {
	e.draining.Store(true)
	listener.SetReadDeadline(past)
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.sessions {
		s.file.SetReadDeadline(past)
	}
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)
