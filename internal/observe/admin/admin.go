// Package admin is the master's admin endpoint: metrics, a status page, health,
// and orders, over HTTP on a TCP port or a unix socket. It is no part of
// serving clients, so it is made of net/http.
//
// A [Server] asks its [Source], which is the pool, for one look at everything
// and shows that; it keeps nothing between two requests. Only the unix socket
// takes orders, whose file has mode 0600. Nothing that happens here may harm the
// master: connections are bounded in number and time (see gate), a handler that
// panics ends its own connection, and nothing is written to standard error.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"phalanx/internal/observe/status"
)

// Source is the pool. Its methods may be called by several goroutines at once,
// and return within seconds; orders may take as long as it takes to do them.
type Source interface {
	// Look fails when the pool's loop does not answer.
	Look() (status.Pool, error)
	// Connections returns [status.ErrNoWorker], or another error when the worker does
	// not answer.
	Connections(slot, pid int) (status.Connections, error)

	// Reload and Scale give up waiting, though not what they have begun, when
	// ctx ends: the client has gone, or the server is closed.
	Reload(ctx context.Context) status.Outcome
	Stop() status.Outcome
	Scale(ctx context.Context, n int) status.Outcome
}

// Config is what a server needs.
type Config struct {
	Source Source
	// Log is told of what went wrong here, one line at a time, by any goroutine;
	// nil drops it.
	Log func(line string)
}

const (
	maxClients = 64       // at once, for each listener
	maxHead    = 16 << 10 // bytes of a request's head
)

// limits say how long clients may take.
type limits struct {
	head  time.Duration // for the head of a request
	read  time.Duration // for all of it
	write time.Duration // from the head's end to the reply's
	idle  time.Duration // between two requests
	grace time.Duration // for what is under way at Close
	room  time.Duration // without a request, while others want the place; 0: patience
}

// Server answers requests.
type Server struct {
	cfg     Config
	limits  limits
	routes  []route
	metrics *metrics
	page    *page
	http    *http.Server
	end     context.CancelFunc // of the context of all requests
	serving sync.WaitGroup     // a goroutine for each listener
	gates   []*gate            // of the listeners

	mu     sync.Mutex
	asked  sync.WaitGroup // requests under way; none is added once closed
	closed bool
}

// New makes a server that listens nowhere yet.
func New(cfg Config) *Server {
	return newServer(cfg, limits{
		head:  5 * time.Second,
		read:  10 * time.Second,
		write: 10 * time.Second,
		idle:  75 * time.Second, // scrapers come each minute at the latest
		grace: 2 * time.Second,
	})
}

func newServer(cfg Config, limits limits) *Server {
	s := &Server{cfg: cfg, limits: limits, metrics: newMetrics(), page: newPage()}
	s.routes = s.table()
	s.start()
	return s
}

// start makes the HTTP server, which cannot be used again once it has been shut
// down.
func (s *Server) start() {
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		ReadHeaderTimeout:            s.limits.head,
		ReadTimeout:                  s.limits.read,
		WriteTimeout:                 s.limits.write,
		IdleTimeout:                  s.limits.idle,
		MaxHeaderBytes:               maxHead,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(lines(s.log), "", 0),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext:                  withGuest,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				c.(*guest).rest()
			}
		},
	}
}

// Serve answers what comes in at a listener of [Listen] or [Inherit], in a
// goroutine of its own, until [Server.Close], which closes l.
func (s *Server) Serve(l net.Listener) {
	g := newGate(l, maxClients)
	if s.limits.room > 0 {
		g.patience = s.limits.room
	}
	s.gates = append(s.gates, g)
	server := s.http
	s.serving.Go(func() {
		err := server.Serve(g)
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log(fmt.Sprintf("admin endpoint on %s has ended: %v", l.Addr(), err))
		}
	})
}

// Suspend answers what is under way, for so long at most, and then nothing: who
// comes waits for Resume, or for the next program of this process, which has the
// listeners too.
func (s *Server) Suspend(timeout time.Duration) error {
	var errs []error
	for _, g := range s.gates {
		errs = append(errs, g.suspend())
	}
	s.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// Shutdown drops a request that it has not seen the beginning of.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for slices.ContainsFunc(s.gates, (*gate).pending) && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return errors.Join(append(errs, s.http.Shutdown(ctx))...)
}

// Resume goes on after Suspend.
func (s *Server) Resume() {
	gates := s.gates
	s.gates = nil
	s.start()
	for _, g := range gates {
		_ = g.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{}) // of a closed one, Serve tells
		s.Serve(g.Listener)
	}
}

// Close closes the listeners, gives requests under way two seconds to end, and
// returns when nothing is left of the server but what a Source holds up. A unix
// socket's file is removed.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.end()
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.serving.Wait()
	for _, g := range s.gates {
		if g.kept { // Suspend was the last that was heard
			err = errors.Join(err, g.Listener.Close())
		}
	}
	s.join()
	return err
}

// enter says that a request is under way, until s.asked.Done; false: too late.
func (s *Server) enter(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !guestOf(ctx).begin() {
		return false
	}
	s.asked.Add(1)
	return true
}

// join waits for the requests under way, whose connections are closed by now,
// but not for ever.
func (s *Server) join() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the last request
		s.asked.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(s.limits.grace):
		s.log("admin endpoint: a request is still under way; it is left behind")
	}
}

func (s *Server) log(line string) {
	if s.cfg.Log != nil {
		s.cfg.Log(visible(line))
	}
}

// lines hands on the first line of what is written: the trace of a panic has
// many.
type lines func(line string)

func (f lines) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p), "\n")
	f("admin endpoint: " + line)
	return len(p), nil
}
