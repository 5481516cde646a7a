package netpoll

import (
	"math"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// A session with TLS has a tlsconn.Conn between its socket and conn.

// secure has the buffers of a session with TLS, from the engine's pool.
type secure struct {
	plain []byte // received plaintext
	text  []byte // responses to be encrypted
}

func newSecure() *secure {
	return &secure{make([]byte, 0, tlsconn.PlainSize), make([]byte, 0, serve.TextSize)}
}

// encrypt starts TLS.
func (s *session) encrypt() {
	var cfg *tlsconn.Config
	if c := s.engine.credentials.Load(); c != nil {
		cfg = c.TLS
	}
	s.tls = tlsconn.New(cfg, s.engine.clock.Mono())
}

// handshaking reports whether a handshake is under way.
func (s *session) handshaking() bool { return s.tls != nil && s.tls.Handshaking() }

// idle reports whether no request is under way.
func (s *session) idle() bool {
	return s.conn.State() == conn.Idle && (!s.handshaking() || s.tls.Silent()) && len(s.header) == 0
}

// handshakeTimes reports whether the deadline of the handshake applies. While the worker
// drains, it does not apply to a client that has sent nothing, which is treated as idle.
func (s *session) handshakeTimes() bool {
	return s.handshaking() && (!s.tls.Silent() || s.conn.Timer() != conn.TimerGrace)
}

// borrow returns the session's TLS buffers, from the pool if need be.
func (s *session) borrow() *secure {
	if s.secure == nil {
		s.secure = s.engine.secures.Get().(*secure)
	}
	return s.secure
}

// releaseInput returns the input buffers to the pools.
func (s *session) releaseInput() {
	s.conn.Hold()
	if s.tls != nil {
		s.tls.Hold()
	}
	if s.buf != nil {
		s.engine.recvBuffers.Put(s.buf)
		s.buf = nil
	}
	if s.secure != nil {
		s.engine.secures.Put(s.secure)
		s.secure = nil
	}
}

// decryptAll decrypts what was received, passes it to conn and sends the responses. It returns
// false if the connection has ended.
func (s *session) decryptAll(now conn.Now) bool {
	s.tls.Receive((*s.buf)[:s.n])
	for {
		alive := s.decrypt(now)
		if s.show(); !alive {
			return false
		}
		if !s.more {
			s.releaseBuffers()
			return true
		}
		now = s.engine.clock.Now()
	}
}

// decrypt does one step of TLS and sends the responses. It returns false if the connection has
// ended.
func (s *session) decrypt(now conn.Now) bool {
	out, step := s.open(now)
	if step == tlsconn.Failed {
		return s.failed(out, now)
	}
	s.heard = true
	return s.seal(out, step == tlsconn.Closed, now)
}

// open does one step of TLS and passes the plaintext to conn. It returns the records to send.
func (s *session) open(now conn.Now) ([]byte, tlsconn.Step) {
	t := tlsconn.Turn{Plain: s.borrow().plain[:0], Out: s.output(), Budget: math.MaxInt}
	step := s.tls.Next(&t)
	s.more = step != tlsconn.Read && step != tlsconn.Failed
	if step == tlsconn.Established {
		s.established()
	}
	if len(t.Plain) > 0 {
		s.conn.Receive(t.Plain, now)
		s.show()
	}
	return t.Out, step
}

// established starts HTTP. The idle timeout starts here.
func (s *session) established() {
	info := s.tls.Info()
	s.tally.Secured(info)
	s.log.Secured(info)
	s.begin()
	if info.Protocol == tlsconn.ProtocolHTTP2 {
		s.speakHTTP2()
	}
}

// failed ends a session after a TLS failure. It sends the alert, or a plain HTTP response to a
// plain HTTP request. It returns false.
func (s *session) failed(alert []byte, now conn.Now) bool {
	err := s.tls.Err()
	reason := s.tally.EndTLS(s.tls, s.log)
	if s.tls = nil; reason == tlsconn.ReasonPlainHTTP {
		s.http1.InClear()
		return s.reply(now)
	}
	s.conn.Abort(err)
	if len(alert) > 0 {
		s.step(alert, conn.Close)
	}
	return false
}

// seal is reply with TLS: it sends the records in out, then the encrypted responses. ended:
// the client has closed its side. It returns false if the connection has ended.
func (s *session) seal(out []byte, ended bool, now conn.Now) bool {
	defer s.left.Store(0)
	for {
		if s.interrupted() {
			var opened tlsconn.Step
			if out, opened = s.open(now); opened == tlsconn.Failed {
				return s.failed(out, now)
			}
			ended = ended || opened == tlsconn.Closed
		}
		var quota int64
		quota, now = s.throttle(now)
		s.checkDrain(now)
		text, step := s.fill(quota, now)
		if out == nil {
			out = s.output()
		}
		if len(text) > 0 {
			out = s.tls.Seal(out, text, now.Mono)
		}
		s.releaseInput() // before sending blocks
		switch {
		case step == conn.Read && ended:
			step = conn.Close
		case step == conn.Send:
			s.showSending()
		}
		if (step == conn.Close || step == conn.Linger) && !s.conn.Aborted() {
			out = s.tls.CloseNotify(out)
		}
		if !s.step(out, step) {
			return false
		}
		if step == conn.Read {
			return true
		}
		out, now = nil, s.engine.clock.Now()
	}
}

// fill collects what the connection sends next, including parts of files.
func (s *session) fill(quota int64, now conn.Now) ([]byte, conn.Step) {
	text, step := s.conn.Next(s.borrow().text[:0], now)
	for step == conn.Send {
		seg := s.conn.Segment()
		n := min(min(serve.PieceMax, quota)-int64(len(text)), seg.Len)
		if n <= 0 {
			break
		}
		var ok bool
		if text, ok = serve.InlinePart(s.conn, text, n, now); !ok {
			return text, conn.Close
		}
		if n < seg.Len {
			break
		}
		text, step = s.conn.Next(text, now)
	}
	return text, step
}
