package eventloop

import (
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// This file sends responses, and later the bytes that a socket did not accept at once.

// goOn makes a peer receive, if its client may have interrupted it, or else send more. It
// returns false if the peer has ended.
func (l *Loop) goOn(p *peer) bool {
	if p.interrupted() {
		return l.receive(p)
	}
	return l.advance(p)
}

// advance collects what the connection has to send, small bodies included, in one buffer,
// and sends it. It returns false if the peer has ended.
func (l *Loop) advance(p *peer) bool {
	if p.tls != nil {
		return l.seal(p, l.out[:0], false)
	}
	rescue.Fault(p.http().Unused())
	at, begun := l.position(p), p.http().Segment().Len > 0
	out, step := l.next(p, l.out[:0])
	quota := l.quota(p)
	for step == conn.Send && len(out) < cap(out)-serve.InlineMax && inline(p.http().Segment(), quota-int64(len(out))) && !l.disk.await(p, serve.InlineMax, l.now.Mono) {
		var ok bool
		if out, ok = serve.Inline(p.http(), out, l.now); !ok {
			step = conn.Close
			break
		}
		if begun {
			// The record names the file's descriptor. The file is closed next, and the
			// next file may get the same number.
			begun = false
			l.commit(p, out, at)
		}
		if step = conn.Flush; !used(p, quota-int64(len(out))) {
			out, step = l.next(p, out)
		}
	}
	p.step = step
	if step != conn.Send && p.aside != nil {
		p.aside.fetched = fetched{}
	}
	l.commit(p, out, at)
	return l.transmit(p, out)
}

// transmit sends a buffer, and keeps what the socket does not accept. It returns false if
// the peer has ended.
func (l *Loop) transmit(p *peer, out []byte) bool {
	if len(out) == 0 {
		l.tally.Settle()
		return l.ended(p)
	}
	flags := 0
	if p.step == conn.Send || p.step == conn.Close {
		// The body follows at once, or the FIN, which then travels in the same segment
		// (tcp_send_fin sets it on what is still unsent).
		flags = unix.MSG_MORE
	}
	rescue.Point("send")
	n, errno := rawSend(int(p.fd), out, flags)
	rescue.Point("sent")
	l.tally.Sent(n)
	l.charge(p, len(out))
	if errno != 0 {
		if n = 0; errno != unix.EAGAIN && errno != unix.EINTR {
			l.tally.Lose()
			l.close(p)
			return false
		}
	}
	if n < len(out) {
		if whole := l.tally.Undelivered(); whole != nil {
			p.beside().undelivered = whole
		}
		p.writable = errno == unix.EINTR
		l.keep(p, out, n)
		p.http().Unsent(len(p.unsent), l.now)
		return true
	}
	l.tally.Settle()
	return l.ended(p)
}

// keep keeps the rest of a batch of which the socket has accepted n bytes: in the memory of
// the peer's record, or in a buffer of its own.
func (l *Loop) keep(p *peer, out []byte, n int) {
	if p.unsent = l.cfg.Records.Unsent(int(p.fd), n, out[n:]); p.unsent != nil {
		p.placed = true
		return
	}
	if p.tls != nil {
		p.unsent = l.tls.spare()
	}
	p.unsent = append(p.unsent, out[n:]...)
}

// next asks the connection what to send. A full buffer must not end between a head and a
// body in memory, which no other process could send.
func (l *Loop) next(p *peer, out []byte) ([]byte, conn.Step) {
	out, step := p.http().Next(out, l.now)
	if step == conn.Switch {
		l.speakHTTP2(p)
		out, step = p.http().Next(out, l.now)
	}
	if step == conn.Flush && p.http().Segment().Len > 0 {
		step = conn.Send
	}
	return out, step
}

// ended takes a step that is possible only when everything has been sent. It returns false
// if the peer has ended.
func (l *Loop) ended(p *peer) bool {
	if p.step == conn.Close && !p.readable {
		l.close(p)
		return false
	}
	if p.step == conn.Close {
		// There may be bytes to receive: close would then send a reset, and the client
		// could lose the response.
		p.step = p.http().Linger(l.now)
	}
	if p.step == conn.Linger {
		rawShutdown(int(p.fd))
		p.queue.Acknowledged(int(p.fd)) // counts from here on
	}
	return true
}

// sendUnsent sends what the socket did not accept earlier. It returns false if the peer has
// ended.
func (l *Loop) sendUnsent(p *peer) bool {
	n, errno := rawSend(int(p.fd), p.unsent, 0)
	l.tally.Sent(n)
	switch {
	case errno == unix.EINTR:
		return true
	case errno == unix.EAGAIN:
		p.writable = false
		return true
	case errno != 0:
		l.close(p)
		return false
	}
	if p.tls != nil && l.cfg.Records == nil && n < len(p.unsent) {
		n = copy(p.unsent, p.unsent[n:]) // moved to the front, so that the whole buffer can be reused
		p.unsent = p.unsent[:n]
	} else {
		p.unsent = p.unsent[n:]
	}
	p.http().Unsent(len(p.unsent), l.now)
	if len(p.unsent) > 0 {
		p.writable = false
		return true
	}
	l.sent(p)
	l.tally.Took(p.undelivered())
	return l.ended(p)
}
