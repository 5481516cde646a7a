package netpoll

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/proxyproto"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// session is a connection served by one goroutine.
type session struct {
	engine  *Engine
	cfg     conn.Config // a copy of the worker's, for this goroutine
	file    *os.File    // the socket
	raw     syscall.RawConn
	conn    serve.Protocol // http1, or HTTP/2
	http1   conn.Conn
	log     *serve.Journal // nil: no logging
	tls     *tlsconn.Conn  // nil: the client speaks plain HTTP
	local   bool           // it came through a unix socket
	client  *clientip.Addr
	header  []byte // received part of the PROXY header
	expects bool   // the PROXY header is not complete yet
	secured bool   // its listening socket is for TLS
	counted bool   // among the connections of its client

	tally serve.Tally
	mu    sync.Mutex
	view  conn.View // for the list of connections, with its own Line; guarded by mu
	// unwanted: the session must end to make room, unless it has received more. It is set
	// before the read deadline is moved to the past, and recv reads it after arming that
	// deadline.
	unwanted atomic.Bool
	// woken: a wait of HTTP/2 is over. It is set and read like unwanted.
	woken   atomic.Bool
	heard   bool         // recv has just been called, so interrupted need not
	late    bool         // the last bytes were received after the deadline
	more    bool         // tls has unprocessed bytes
	drained bool         // HTTP/2 was told that the worker drains
	left    atomic.Int64 // remaining bytes of the response under way, for the report

	recvDeadline time.Duration // armed; 0: none
	sendDeadline time.Duration

	// Method values for the poller, made once.
	tryRecv func(fd uintptr) bool
	trySend func(fd uintptr) bool
	tryFile func(fd uintptr) bool
	// tryRecvOnce does not block; nil: HTTP/1.1.
	tryRecvOnce func(fd uintptr)

	buf     *[]byte // from the pool while it holds received bytes
	out     *[]byte // from the pool while it holds bytes to send
	secure  *secure // from the pool while TLS records are processed
	n       int     // received
	pending []byte  // still to send
	flags   int     // of send(2)
	bucket  serve.Bucket
	quota   int64 // bytes of a segment that may be sent now
	blocked bool  // the socket has accepted nothing since this wait began
	err     error
	queue   serve.Queue
}

// start starts a session for an accepted socket in a new goroutine. In the serial model
// sessions are served one by one in the order of accept, and ended is closed when this one has
// ended.
func (e *Engine) start(fd int, from serve.Listener, client *clientip.Addr, counted bool) (s *session, ended <-chan struct{}) {
	s = &session{engine: e, cfg: e.cfg.Conn, file: os.NewFile(uintptr(fd), "client"), tally: serve.Tally{Row: e.cfg.Row, Sites: e.cfg.SiteNames != nil, Clock: &e.clock, Limits: e.limits}}
	s.cfg.Alone = true
	s.raw, _ = s.file.SyscallConn() // nil only if the file is closed
	e.cfg.Row.Accepted.Add(1)
	s.log = serve.NewJournal(&e.cfg, &s.tally, client, fd)
	s.conn = &s.http1
	s.local, s.client, s.counted = from.Shared, client, counted
	s.expects, s.secured = e.cfg.Proxied.Contains(*client), from.Secure
	if from.Secure && !s.expects {
		s.encrypt()
	}
	s.view.Since = e.clock.Mono()
	s.bucket = e.cfg.Rate.Bucket(s.view.Since)
	e.mu.Lock()
	e.sessions[s] = struct{}{}
	e.mu.Unlock()
	if !e.cfg.Conn.Single {
		e.wg.Go(s.run)
		return s, nil
	}
	done := make(chan struct{})
	e.wg.Go(func() {
		e.turn <- struct{}{}
		s.run()
		<-e.turn
		close(done)
	})
	return s, done
}

func (s *session) run() {
	defer s.end()
	if s.raw == nil {
		return
	}
	s.tryRecv, s.trySend, s.tryFile = s.recvNow, s.sendNow, s.sendfileNow
	s.log.Event("connection opened")
	s.begin()
	for s.turn() {
	}
}

// begin starts HTTP/1.1.
func (s *session) begin() {
	s.http1 = conn.New(&s.cfg, s.log.Observer(&s.tally), s.engine.clock.Now())
	s.http1.From(s.client)
	if s.tls != nil {
		s.http1.Secure()
	}
	if s.local {
		s.http1.Local()
	}
	s.show()
}

// show publishes the view of the connection. A TLS handshake or PROXY header under way is
// shown as receiving.
func (s *session) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.view.Line[:0]
	s.view = s.conn.View()
	if (s.handshaking() && !s.tls.Silent() || len(s.header) > 0) && s.view.State == conn.Idle {
		s.view.State = conn.Receiving
	}
	s.view.Line = append(line, s.view.Line...)
}

// showSending is show while a response is sent, whose rest a drain reports.
func (s *session) showSending() {
	s.left.Store(s.conn.Left())
	s.show()
}

// end closes the socket and removes the session.
func (s *session) end() {
	s.conn.Abort(serve.ErrLost)
	s.endHTTP2()
	if s.tls != nil {
		s.tally.EndTLS(s.tls, s.log)
	}
	s.releaseBuffers()
	s.log.Event("connection closed")
	s.file.Close()
	s.engine.mu.Lock()
	delete(s.engine.sessions, s)
	if s.counted {
		s.engine.limits.Leave(s.client)
	}
	s.engine.mu.Unlock()
	select {
	case s.engine.ended <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// output returns an empty output buffer, which is borrowed until releaseBuffers.
func (s *session) output() []byte {
	if s.out == nil {
		s.out = s.engine.outBuffers.Get().(*[]byte)
	}
	return (*s.out)[:0]
}

// releaseBuffers returns the buffers to the pools, so that a waiting connection holds none.
func (s *session) releaseBuffers() {
	s.releaseInput()
	if s.out != nil {
		s.engine.outBuffers.Put(s.out)
		s.out = nil
	}
}

// turn receives once and sends responses. It returns false if the connection has ended.
func (s *session) turn() bool {
	err := s.recv()
	now := s.engine.clock.Now()
	s.checkDrain(now) // perhaps since the wait began
	switch {
	case err == nil:
		s.log.Bytes(s.n)
		if s.expects && !s.introduce() {
			return false
		}
		if s.n == 0 {
			s.releaseBuffers()
			s.show()
			return true
		}
		if s.tls != nil {
			return s.decryptAll(now)
		}
		s.conn.Receive((*s.buf)[:s.n], now)
		s.heard = true
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.woken.Store(false)
		if s.unwanted.Swap(false) && s.makesRoom(now) {
			return false
		}
		if s.headerTimes() {
			if now.Mono < s.headerDeadline() {
				return true
			}
			s.unproxied(proxyproto.ReasonTimeout)
			return false
		}
		if s.handshakeTimes() {
			return !s.tls.Expire(now.Mono) || s.failed(nil, now)
		}
		s.measure(now)
		s.tally.Expired(s.conn.Expire(now))
	default:
		return false
	}
	s.show()
	more := s.reply(now)
	s.releaseBuffers()
	s.show()
	return more
}

// checkDrain tells the connection that the worker drains, if it does. That may have begun during any
// wait, and a connection whose TLS handshake has just ended has not been told yet.
func (s *session) checkDrain(now conn.Now) {
	if s.engine.drain.Load() != nil {
		s.conn.Drain(now)
	}
}

// recv receives once, as soon as bytes arrive. It returns io.EOF at end-of-file.
func (s *session) recv() error {
	s.armRecv()
	if s.engine.drain.Load() != nil {
		s.conn.Drain(s.engine.clock.Now())
		s.armRecv()
	}
	if s.unwanted.Load() || s.woken.Load() || s.tellsDrain() {
		s.recvDeadline = 0
		return os.ErrDeadlineExceeded
	}
	err := s.raw.Read(s.tryRecv)
	if err != nil {
		s.recvDeadline = 0
	}
	// The deadline has passed without a check whether bytes have arrived.
	s.late = !s.late && errors.Is(err, os.ErrDeadlineExceeded) && s.unread() > 0
	switch {
	case s.late:
		s.raw.Control(func(fd uintptr) { s.recvNow(fd) })
	case err != nil:
		return err
	}
	if s.err == nil && s.n == 0 {
		return io.EOF
	}
	return s.err
}

// armRecv arms the read deadline for the connection's deadline, or for the next check of its client's
// progress, if HTTP/2 waits for windows. An earlier one is kept: one spurious wake-up in half a minute is
// cheaper than setting a timer for every request.
func (s *session) armRecv() {
	deadline := s.conn.Deadline()
	if s.conn.Timer() == conn.TimerSend {
		deadline = s.engine.clock.Mono() + serve.ProgressEvery
	}
	if s.handshakeTimes() {
		deadline = s.tls.Deadline()
	}
	if s.headerTimes() {
		deadline = s.headerDeadline()
	}
	if s.recvDeadline == 0 || deadline < s.recvDeadline {
		s.recvDeadline = deadline
		s.file.SetReadDeadline(s.engine.clock.Timer(deadline))
	}
}

// recvNow receives into a buffer from the pool, which it returns if there is nothing.
func (s *session) recvNow(fd uintptr) bool {
	s.buf = s.engine.recvBuffers.Get().(*[]byte)
	for {
		s.n, s.err = unix.Read(int(fd), *s.buf)
		if s.err != unix.EINTR {
			break
		}
	}
	if s.err == nil && s.n > 0 {
		if c := s.engine.credentials.Load(); c != nil {
			s.cfg.Challenges = c.Challenges // those of now: a proxy may use one connection for all requests
		}
		return true
	}
	s.engine.recvBuffers.Put(s.buf)
	s.buf = nil
	return s.err != unix.EAGAIN
}

// reply carries out the connection's steps until it reads. It returns false if the connection
// has ended.
func (s *session) reply(now conn.Now) bool {
	if s.tls != nil {
		return s.seal(nil, false, now)
	}
	for {
		var quota int64
		quota, now = s.throttle(now)
		s.checkDrain(now)
		if s.interrupted() {
			s.conn.Receive((*s.buf)[:s.n], now)
		}
		out, step := s.next(s.output(), now)
		for step == conn.Send && s.conn.Segment().Len <= serve.InlineMax && len(out) < cap(out)-serve.InlineMax && int64(len(out)) < quota {
			var ok bool
			if out, ok = serve.Inline(s.conn, out, now); !ok {
				s.step(out, conn.Close)
				return false
			}
			out, step = s.next(out, now)
		}
		if cap(out) > serve.OutSize {
			*s.out = out // it has grown; keep it
		}
		if step == conn.Send || step == conn.Flush { // more follows
			s.showSending()
		}
		if !s.step(out, step) {
			return false
		}
		if step == conn.Read {
			s.left.Store(0)
			return true
		}
		now = s.engine.clock.Now()
	}
}

// step sends out and carries out the step. It returns false if the connection has ended.
func (s *session) step(out []byte, step conn.Step) bool {
	flags := 0
	if step == conn.Send {
		flags = unix.MSG_MORE
	}
	if len(out) > 0 && !s.send(out, flags) {
		s.tally.Lose()
		return false
	}
	s.tally.Settle()
	switch step {
	case conn.Read, conn.Flush:
		return true
	case conn.Await:
		s.await()
		return true
	case conn.Send:
		// A small segment that did not fit into out is returned again by next.
		return s.tls != nil || s.conn.Segment().Len <= serve.InlineMax || s.sendSegment()
	case conn.Close:
		if s.unread() > 0 {
			s.conn.Linger(s.engine.clock.Now())
			s.lingering()
		}
	case conn.Linger:
		s.lingering()
	case conn.Reset:
		s.reset()
	}
	return false
}

// await waits for a response that another goroutine prepares.
func (s *session) await() {
	ready := make(chan struct{})
	if s.conn.Await(func() { close(ready) }) {
		s.show()
		s.log.Fetch(true)
		<-ready
		s.log.Fetch(false)
	}
}
