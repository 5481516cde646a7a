// Package admin is the master's admin endpoint: metrics, a status page, health
// checks and orders, over HTTP on a TCP port or a unix socket. It serves operators,
// not clients of the website, and uses net/http.
//
// A [Server] takes a snapshot from its [Source], the pool, for each request, and
// keeps nothing between requests. Orders are accepted only on the unix socket,
// whose file has mode 0600. Nothing here may harm the master: connections are
// limited in number and time (see gate), a handler that panics closes its own
// connection, and nothing is written to standard error.
package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
	"phalanx/internal/observe/token"
)

// Source is the pool. Its methods are safe for concurrent use and return within
// seconds, except orders, which return when they have been carried out.
type Source interface {
	// Look takes a snapshot. It fails if the supervisor's loop does not respond.
	Look() (status.Pool, error)
	// Connections returns [status.ErrNoWorker], or another error if the worker does
	// not respond.
	Connections(slot, pid int) (status.Connections, error)

	// Reload and Scale stop waiting when ctx ends (the client is gone, or the server
	// is closed), but the reload itself continues.
	Reload(ctx context.Context) status.Outcome
	Stop() status.Outcome
	Scale(ctx context.Context, n int) status.Outcome
}

// Config configures a [Server].
type Config struct {
	Source Source
	// Log receives errors, one line at a time, from any goroutine; nil discards
	// them.
	Log func(line string)
	// Token returns the current token, "" for none; a nil Token means none too.
	Token func() token.Token
}

const (
	maxClients = 64       // at once, for each listener
	maxHead    = 16 << 10 // bytes of a request's head
)

// limits are the timeouts of a client.
type limits struct {
	head  time.Duration // for the request head
	read  time.Duration // for the whole request
	write time.Duration // from the end of the head to the end of the response
	idle  time.Duration // between two requests
	grace time.Duration // for requests under way at Close
	evict time.Duration // without a request, while others wait for a slot; 0: evictAfter
}

// Server serves the admin endpoint.
type Server struct {
	cfg     Config
	limits  limits
	routes  []route
	metrics []metric
	page    *page
	key     []byte // of pseudonyms
	http    *http.Server
	cancel  context.CancelFunc // of the context of all requests
	serving sync.WaitGroup     // a goroutine for each listener
	gates   []*gate            // of the listeners

	mu       sync.Mutex
	underWay sync.WaitGroup // requests; none is added once closed
	closed   bool
}

// New returns a server without a listener.
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
	s := &Server{cfg: cfg, limits: limits, metrics: metrics(), page: newPage(), key: []byte(rand.Text())}
	s.routes = s.table()
	s.start()
	return s
}

// start creates the HTTP server, which cannot be reused after a shutdown.
func (s *Server) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
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
		ConnContext:                  withClient,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				c.(*clientConn).idle()
			}
		},
	}
}

// Serve serves the connections of l in a goroutine until [Server.Close], which closes l.
func (s *Server) Serve(l *Listener) {
	g := newGate(l, maxClients)
	if s.limits.evict > 0 {
		g.evictAfter = s.limits.evict
	}
	s.gates = append(s.gates, g)
	server := s.http
	s.serving.Go(func() {
		err := server.Serve(g)
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log(fmt.Sprintf("admin endpoint on %s stopped: %v", l.Addr(), err))
		}
	})
}

// Suspend completes the requests under way, within the timeout, and then stops
// accepting: new connections wait for Resume, or for the upgraded program, which
// inherits the listeners.
func (s *Server) Suspend(timeout time.Duration) error {
	var errs []error
	for _, g := range s.gates {
		errs = append(errs, g.suspend())
	}
	s.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// Shutdown closes connections whose first request has not arrived yet.
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

// Resume continues after Suspend.
func (s *Server) Resume() {
	gates := s.gates
	s.gates = nil
	s.start()
	for _, g := range gates {
		_ = g.SetDeadline(time.Time{}) // Serve reports a closed listener
		s.Serve(g.Listener)
	}
}

// Close closes the listeners, gives requests under way two seconds to finish, and
// returns when all its goroutines have ended, except those blocked in the Source.
// The file of a unix socket is removed.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.cancel()
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.serving.Wait()
	for _, g := range s.gates {
		if g.suspended { // and not resumed
			err = errors.Join(err, g.Listener.Close())
		}
	}
	s.join()
	return err
}

// enter registers a request under way, until s.underWay.Done; false: the
// connection was evicted, or the server is closed.
func (s *Server) enter(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !clientOf(ctx).begin() {
		return false
	}
	s.underWay.Add(1)
	return true
}

// join waits for the requests under way, whose connections are closed by now, at
// most for the grace period.
func (s *Server) join() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the last request
		s.underWay.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(s.limits.grace):
		s.log("admin endpoint: a request did not finish before shutdown; abandoned")
	}
}

func (s *Server) log(line string) {
	if s.cfg.Log != nil {
		s.cfg.Log(human.Visible(line))
	}
}

// lines forwards only the first line of a message: a panic comes with its stack.
type lines func(line string)

func (f lines) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p), "\n")
	f("admin endpoint: " + line)
	return len(p), nil
}
