// Package serve moves bytes between sockets and connections.
//
// A [Worker] accepts from one listening socket and drives a conn.Conn for
// each client: it receives when the connection asks to read, sends what it
// appended (small bodies in the same write as their head, large ones with
// sendfile), turns its deadline into a timer, and tells it when to drain. It
// decides nothing about HTTP. netpoll.go waits with a goroutine for each
// connection on Go's poller, and serves one at a time in the serial model.
package serve

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/accesslog"
	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/site"
)

// Config is what a worker is told.
type Config struct {
	Conn    conn.Config    // for all connections; Conn.Single makes the worker serial
	Recv    int            // bytes of each recv()
	Log     zerolog.Logger // requests at Info, connections at Debug, each recv at Trace
	Verbose bool           // whether anybody reads Log
	Flush   func() bool    // writes an event loop's log at the end of a turn, if not nil; reports whether some is left
	// Tick is called by an event loop every few seconds, if not nil, as long as it
	// returns true or there is traffic.
	Tick func() bool
	// Beat is called by an event loop once each BeatEvery, from inside the loop,
	// if not nil: somebody waits for it to know that the loop goes round.
	Beat      func()
	BeatEvery time.Duration
	// Access is the access log; nil: there is none.
	Access *accesslog.Pen
	// Row is where the worker counts; nil: nobody looks.
	Row *scoreboard.Row
	// Looks are requests for a list of all connections: the answer is sent into
	// the channel, which must have room for it.
	Looks <-chan chan<- []Seen
	// Report is called each second while the worker ends, if not nil, with how
	// many connections are left and how many bytes they still get. It does not
	// wait.
	Report func(connections int, bytes int64)
	// Leave is asked once, when drain has been closed; nil stands for the zero
	// Leaving.
	Leave func() Leaving
	// Legacies are bequests on which connections come from other workers, and
	// Heirs those on which to give the connections away, one after the other when
	// Leaving.Giving says so. Each is a descriptor that the event loop takes
	// over; see package ipc. Nil: none ever come.
	Legacies, Heirs <-chan int
	// Finish, when it is closed, ends the giving: what is left is drained.
	Finish <-chan struct{}
}

// Leaving is how a worker goes when it drains. The zero value is for the last
// one, after which nobody listens any more.
type Leaving struct {
	Kept    bool // another worker has the listening socket, and what waits in its queue
	Steered bool // the kernel sends new connections to others; what is on its way here is for this one
	Giving  bool // the connections are for Config.Heirs, and are served until one has them
}

func (c *Config) leave() Leaving {
	if c.Leave == nil {
		return Leaving{}
	}
	return c.Leave()
}

// patience is for how long nothing must have arrived until the listening
// socket is closed, and for how long altogether.
func (v Leaving) patience() (quietFor, most time.Duration) {
	switch {
	case v.Kept:
		return 0, 0
	case v.Steered:
		return deferred, deferred
	}
	return quiet, quietMax
}

// Worker serves the connections of one listening socket.
type Worker struct {
	cfg   Config
	clock clock

	recvBuffers sync.Pool // of *[]byte, Recv bytes long
	outBuffers  sync.Pool // of *[]byte, outSize bytes large

	maxClients int           // connections that leave a reserve of descriptors for files
	warned     time.Time     // when a lack of descriptors was last logged
	turn       chan struct{} // held by the one session that is served in the serial model

	draining atomic.Bool
	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	wg       sync.WaitGroup        // of the sessions' goroutines
}

// inlineMax is the size in bytes up to which a body is copied behind its head
// and sent with it: one write of both costs less than a write and a sendfile.
// What is kept in memory has no file that could be sent in another way.
const inlineMax = site.MaxBody

// reportEvery is how often a worker that ends says what is left.
const reportEvery = time.Second

// outSize is the size of an output buffer: replies collect up to 64 KiB
// before conn asks for them to be sent, and one head and one small body may
// still follow.
const outSize = 64<<10 + inlineMax + 8<<10

// New returns a worker.
func New(cfg Config) *Worker {
	w := &Worker{
		cfg:        cfg,
		maxClients: maxClients(),
		turn:       make(chan struct{}, 1),
		sessions:   make(map[*session]struct{}),
	}
	w.clock.cfg = &w.cfg.Conn
	w.clock.start()
	if w.cfg.Row == nil {
		w.cfg.Row = new(scoreboard.Row)
	}
	w.recvBuffers.New = func() any {
		b := make([]byte, cfg.Recv)
		return &b
	}
	w.outBuffers.New = func() any {
		b := make([]byte, 0, outSize)
		return &b
	}
	return w
}

// Run serves what arrives at the listening socket, a descriptor which it
// takes over and which must not block, until drain is closed. Then it takes
// what waits in the accept queue (see Leaving), closes the socket, lets
// every connection end, and returns. An error means that the socket itself failed; the
// connections have ended then too.
func (w *Worker) Run(fd int, drain <-chan struct{}) error {
	listener := os.NewFile(uintptr(fd), "listener")
	ended := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() { w.lookAround(ended) })
	defer looking.Wait()
	defer close(ended)
	stop := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case <-drain:
			w.beginDrain(listener)
		case <-stop:
		}
	}()
	err := w.acceptAll(listener, drain)
	close(stop)
	<-watcher
	if err == nil {
		err = w.acceptRest(listener, w.cfg.leave())
	} else {
		w.beginDrain(listener)
	}
	listener.Close()
	w.waitAll()
	return err
}

// waitAll waits for the last connection to end, and reports how far that is.
func (w *Worker) waitAll() {
	ended := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(ended)
	}()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		w.report()
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}

func (w *Worker) report() {
	if w.cfg.Report == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var left int64
	for s := range w.sessions {
		left += s.left.Load()
	}
	w.cfg.Report(len(w.sessions), left)
}

// beginDrain wakes the accepting goroutine and every connection that waits
// for a request. The order matters: a session arms its deadline and then
// looks at draining, so that it either sees the flag or is woken.
func (w *Worker) beginDrain(listener *os.File) {
	w.draining.Store(true)
	listener.SetReadDeadline(past)
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.sessions {
		s.file.SetReadDeadline(past)
	}
}
