package eventloop

import (
	"encoding/binary"
	"errors"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// A peer with TLS has a tlsconn.Conn between its socket and conn. The loop lends each peer
// in turn its buffers: for received bytes, plaintext, responses in plaintext, and records.

const (
	// handshakeBudget is how many handshake records are processed in a turn. A record costs up
	// to half a millisecond, so a small page waits for a few of them at most, however many
	// clients connect at once.
	handshakeBudget = 4
	// handshakeTime is how long a turn processes handshake records, but it processes at least
	// one: a signature with an RSA key of 4096 bits costs several milliseconds.
	handshakeTime = time.Millisecond
	// spareMax is how many unused buffers for unsent records are kept.
	spareMax = 64
)

// secure is what a loop needs for TLS.
type secure struct {
	cfg         *tlsconn.Config // for new connections; nil: there are no credentials
	turn        tlsconn.Turn
	text        []byte   // buffer for responses before they are sealed
	spares      [][]byte // unused buffers for unsent records
	got         int      // bytes received but not committed yet
	handshaking list     // peers whose handshake can continue
	shrunk      int      // peers shrunk since the last garbage collection
}

// secured returns what the loop needs for TLS, and allocates it at the first call.
func (l *Loop) secured() *secure {
	if l.tls == nil {
		l.tls = &secure{text: make([]byte, 0, serve.TextSize)}
		l.tls.turn.Plain = make([]byte, 0, tlsconn.PlainSize)
		l.tls.handshaking.init()
	}
	return l.tls
}

// credentials replaces the credentials for new connections.
func (l *Loop) credentials(o serve.Credentials) {
	l.secured().cfg = o.TLS
	l.cfg.Conn.Challenges = o.Challenges
	l.beginNascent()
}

// encrypt makes a new peer begin with TLS.
func (l *Loop) encrypt(p *peer) {
	p.tls = tlsconn.New(l.secured().cfg, l.now.Mono)
	l.fix(p)
}

// fix records that a peer cannot be continued if this worker dies.
func (l *Loop) fix(p *peer) {
	l.cfg.Records.Commit(int(p.fd), &rescue.Batch{File: -1, Used: l.cfg.Records.Used(int(p.fd)), Fixed: true})
}

// secureState is the first byte of the state of a TLS connection. It is followed by the
// length of conn's state in four bytes, big-endian, conn's state, and that of TLS.
const secureState = 0xff

// freeze puts the state of a peer into the loop's buffer.
func (l *Loop) freeze(p *peer) {
	l.state = l.appendArrival(l.state[:0], p)
	if p.tls == nil {
		l.state = p.http1.Freeze(l.state, p.unsent, l.now)
	} else {
		l.state = l.freezeTLS(l.state, p, p.unsent)
	}
}

// freezeTLS appends the state of a TLS peer, with its unsent records.
func (l *Loop) freezeTLS(dst []byte, p *peer, unsent []byte) []byte {
	dst = append(dst, secureState, 0, 0, 0, 0)
	begin := len(dst)
	dst = p.http1.Freeze(dst, unsent, l.now)
	binary.BigEndian.PutUint32(dst[begin-4:], uint32(len(dst)-begin))
	return p.tls.Freeze(dst)
}

// thawTLS restores the TLS part of a state, if there is one, and returns the part of conn.
func (l *Loop) thawTLS(p *peer, state []byte) (_ []byte, err error) {
	if len(state) == 0 || state[0] != secureState {
		return state, nil
	}
	if state = state[1:]; len(state) < 4 {
		return nil, errState
	}
	n := int64(binary.BigEndian.Uint32(state))
	if state = state[4:]; n > int64(len(state)) {
		return nil, errState
	}
	if p.tls, err = tlsconn.Thaw(state[n:], l.now.Mono); err != nil {
		return nil, err
	}
	l.secured()
	p.more = true // it may have whole records that are not decrypted yet
	p.log.Continues(p.tls.Info())
	return state[:n], nil
}

// secureBatch returns the batch that records what a TLS peer does next. Its state includes
// all received bytes, and the send buffer has records.
func (l *Loop) secureBatch(p *peer, at position) (b rescue.Batch) {
	m := p.http().Mark()
	p.batch(&b, &m, at)
	b.Used = at.received
	p.tls.Hold()
	if b.Fixed = b.Fixed || !p.tls.Movable(); !b.Fixed && !b.Ending {
		l.state = l.freezeTLS(l.state[:0], p, nil)
		b.About, b.Whole = l.state, true
	}
	p.large = rescue.Large(b.About)
	return b
}

// count begins to count the bytes of a TLS peer: those of its handshake were not counted.
func (l *Loop) count(p *peer) {
	if l.cfg.Records == nil {
		return
	}
	at := p.kernelPosition()
	l.cfg.Records.Take(int(p.fd), &rescue.Batch{File: -1, Fixed: true, Used: at.received, Start: at.sent}, nil, nil)
	l.tls.got = 0
}

var errState = errors.New("malformed state of a connection")

// spare returns an empty buffer for unsent records.
func (s *secure) spare() []byte {
	n := len(s.spares)
	if n == 0 {
		return nil
	}
	b := s.spares[n-1]
	s.spares = s.spares[:n-1]
	return b
}

// sent forgets the unsent bytes of a peer.
func (l *Loop) sent(p *peer) {
	if p.tls != nil && l.cfg.Records == nil && cap(p.unsent) > 0 && len(l.tls.spares) < spareMax {
		l.tls.spares = append(l.tls.spares, p.unsent[:0])
	}
	p.unsent = nil
}

// queueHandshake queues a peer whose handshake can continue.
func (l *Loop) queueHandshake(p *peer) {
	if !p.turn.linked() {
		l.tls.handshaking.push(&p.turn)
	}
	l.arm(p)
}

// continueHandshakes continues handshakes, in the order in which their bytes arrived,
// until the turn's budget is used up.
func (l *Loop) continueHandshakes() {
	s := l.tls
	if s == nil {
		return
	}
	s.turn.Budget = handshakeBudget
	for until := l.clock.Mono() + handshakeTime; s.turn.Budget > 0; {
		p := s.handshaking.front()
		if p == nil {
			return
		}
		p.turn.remove()
		l.cfg.Records.Serving(int(p.fd))
		if l.continueHandshake(p) {
			l.serve(p)
		}
		if l.clock.Mono() >= until {
			return
		}
	}
}

// continueHandshake continues one handshake. It returns false if the peer has ended.
func (l *Loop) continueHandshake(p *peer) bool {
	for len(p.unsent) == 0 && p.handshaking() && (p.more || p.readable) && l.tls.turn.Budget > 0 {
		if !l.receive(p) {
			return false
		}
	}
	return true
}

// decrypt passes decrypted bytes to conn, and sends its responses. It returns false if the
// peer has ended.
func (l *Loop) decrypt(p *peer) bool {
	t := &l.tls.turn
	t.Plain, t.Out = t.Plain[:0], l.out[:0]
	if !p.handshaking() {
		l.cfg.Records.Sealing(int(p.fd)) // a KeyUpdate may require a reply
	}
	step := p.tls.Next(t)
	p.more = step != tlsconn.Read
	switch step {
	case tlsconn.Failed:
		return l.failed(p, t.Out)
	case tlsconn.Established:
		l.established(p)
	}
	if len(t.Plain) > 0 {
		p.http().Receive(t.Plain, l.now)
	}
	if !l.seal(p, t.Out, step == tlsconn.Closed) {
		return false
	}
	p.http().Hold()
	p.tls.Hold()
	return true
}

// established begins HTTP after the handshake. The idle timeout counts from here.
func (l *Loop) established(p *peer) {
	l.count(p)
	info := p.tls.Info()
	l.tally.Secured(info)
	p.log.Secured(info)
	l.begin(p)
	if info.Protocol == tlsconn.ProtocolHTTP2 {
		l.speakHTTP2(p)
	} else if l.draining {
		l.stay(p)
	}
}

// stay makes a peer that cannot move to another worker, because of its TLS or its HTTP/2, end
// here: after its next response, or with its streams.
func (l *Loop) stay(p *peer) {
	if p.speaksHTTP2() {
		p.http().Drain(l.now) // tells the client at once
		l.proceed(p)
	} else if p.tls != nil && p.tls.Stays() {
		p.http().Finish()
	}
}

// failed ends a peer whose TLS has failed, during the handshake or later. out has an alert,
// or nothing. It returns false if the peer has ended.
func (l *Loop) failed(p *peer, out []byte) bool {
	l.tls.got = 0 // no commit follows
	err := p.tls.Err()
	reason := l.endTLS(p)
	if reason == tlsconn.ReasonPlainHTTP {
		p.http1.InClear()
		return l.advance(p)
	}
	if p.http().Abort(err); len(out) == 0 {
		l.close(p)
		return false
	}
	p.step = conn.Close
	return l.transmit(p, out)
}

// endTLS ends a peer's TLS.
func (l *Loop) endTLS(p *peer) tlsconn.Reason {
	reason := l.tally.EndTLS(p.tls, p.log)
	p.tls, p.more = nil, false
	return reason
}

// seal asks the connection what to send, seals it with a part of the file that follows, and
// sends it after the records in out. ended says that the client sends no more. It returns
// false if the peer has ended.
func (l *Loop) seal(p *peer, out []byte, ended bool) bool {
	at := l.position(p)
	text, step := l.fill(p, false)
	if step == conn.Read && ended {
		step = conn.Close
	}
	return l.sealed(p, out, text, step, at)
}

// sealed seals responses and sends them after the records in out. It returns false if the
// peer has ended.
func (l *Loop) sealed(p *peer, out, text []byte, step conn.Step, at position) bool {
	if !p.handshaking() {
		l.cfg.Records.Sealing(int(p.fd))
	}
	if len(text) > 0 {
		out = p.tls.Seal(out, text, l.now.Mono)
	}
	switch p.step = step; step {
	case conn.Close, conn.Linger:
		if !p.http().Aborted() {
			out = p.tls.CloseNotify(out)
		}
		p.more = false
	case conn.Reset:
		p.more = false
	}
	if step != conn.Send && p.aside != nil {
		p.aside.fetched = fetched{}
	}
	l.commit(p, out, at)
	return l.transmit(p, out)
}

// fill collects what a connection sends next, files included. known says that the first part
// of a file is known to be in memory.
func (l *Loop) fill(p *peer, known bool) ([]byte, conn.Step) {
	begun := p.http().Segment().Len > 0
	text, step := l.next(p, l.tls.text[:0])
	most := min(serve.PieceMax, l.quota(p))
	for step == conn.Send {
		seg := p.http().Segment()
		n := min(most-int64(len(text)), seg.Len)
		if seg.File.Body() != nil && (n > 0 || cap(text)-len(text) >= serve.InlineMax) {
			n = seg.Len
		}
		if n <= 0 || !known && l.disk.await(p, n, l.now.Mono) {
			break
		}
		var ok bool
		if text, ok = serve.InlinePart(p.http(), text, n, l.now); !ok {
			return text, conn.Close
		}
		if n < seg.Len {
			break
		}
		if begun {
			// The record names the file's descriptor, which the next file may get, and nothing
			// can be committed before the bytes are encrypted.
			begun = false
			l.cfg.Records.Sealing(int(p.fd))
		}
		known = false
		if step = conn.Flush; !used(p, most-int64(len(text))) {
			text, step = l.next(p, text)
		}
	}
	return text, step
}

// sendSealed does for TLS what sendfile does for a plain connection: it sends a share of a
// file, limited to most bytes, and returns its cost in bytes.
func (l *Loop) sendSealed(p *peer, most int64) (cost int64) {
	if p.interrupted() {
		if l.receive(p) {
			l.serve(p)
		}
		return serve.PieceMax
	}
	for cost < most && len(p.unsent) == 0 && p.step == conn.Send && !l.dry(p) {
		seg := p.http().Segment()
		at := l.position(p)
		text, step := l.fill(p, true)
		cost += int64(len(text))
		if !l.sealed(p, l.out[:0], text, step, at) {
			return cost
		}
		if next := p.http().Segment(); next.File != seg.File || next.Off < seg.Off {
			break // the next response is not known to be in memory
		}
	}
	p.http().Hold()
	l.serve(p)
	return cost
}
