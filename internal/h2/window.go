package h2

import (
	"encoding/binary"

	"phalanx/internal/conn"
)

// This file implements flow control (RFC 9113 §5.2, §6.9) in both directions. A request's
// content is discarded as it arrives. The connection's window is then returned, and that of
// the stream until its response begins.

// returnAt is the number of discarded bytes that one WINDOW_UPDATE frame returns.
const returnAt = receiveWindow / 2

// smallData is the content in bytes below which a DATA frame costs a point.
const smallData = 64

// data processes the beginning of a DATA frame (RFC 9113 §6.1). Its content is discarded.
func (c *Conn) data(out []byte, f frame, p []byte, now conn.Now) ([]byte, Code) {
	content := f.length
	if f.has(flagPadded) {
		if len(p) == 0 {
			return out, FrameSizeError
		}
		if content -= 1 + int(p[0]); content < 0 {
			return out, ProtocolError
		}
	}
	if f.stream == 0 {
		return out, ProtocolError
	}
	if c.credit -= int32(f.length); c.credit < 0 {
		return out, FlowControlError
	}
	if c.returned += int32(f.length); c.returned >= returnAt {
		out = appendWindowUpdate(out, 0, int(c.returned))
		c.credit, c.returned = c.credit+c.returned, 0
	}
	end := f.has(flagEndStream)
	if content < smallData && !end {
		c.spend(1, ReasonData)
	}
	s := c.find(f.stream)
	switch {
	case s == nil:
		return out, c.late(f.stream)
	case s.ended:
		return c.streamError(out, s.id, StreamClosed), NoError
	}
	if s.credit -= int32(f.length); s.credit < 0 {
		return c.streamError(out, s.id, FlowControlError), NoError
	}
	c.body = s.phase == streamReceiving
	if s.left -= int64(content); s.left < 0 || end && s.sized && s.left > 0 {
		if s.sized {
			return c.streamError(out, s.id, ProtocolError), NoError // RFC 9113 §8.1.1
		}
		if s.phase == streamReceiving {
			s.fault, s.ended = conn.TooLong, end
			c.complete(s, now)
			return out, NoError
		}
	}
	if end {
		c.end = s.id
		return out, NoError
	}
	if used := receiveWindow - s.credit; used >= returnAt && s.phase == streamReceiving {
		out = appendWindowUpdate(out, s.id, int(used))
		s.credit = receiveWindow
	}
	return out, NoError
}

// uploaded notes that n bytes of a request's content were received. Without a minimum rate the whole
// content must come within HeadTimeout.
func (c *Conn) uploaded(n int64, now conn.Now) {
	if rate := c.cfg.http.MinRate; rate == 0 || !c.upload.Moved(n, rate, conn.HeadTimeout) {
		return
	}
	c.came = now.Mono
	for _, s := range c.streams {
		if s.phase == streamReceiving {
			s.since = now.Mono
		}
	}
}

// contentDone completes the request whose last byte was received.
func (c *Conn) contentDone(out []byte, now conn.Now) []byte {
	s := c.find(c.end)
	if c.end = 0; s == nil {
		return out
	}
	if s.ended = true; s.phase != streamReceiving {
		return out
	}
	if s.sized && s.left > 0 {
		return c.streamError(out, s.id, ProtocolError) // trailers came too early
	}
	c.complete(s, now)
	return out
}

// windowUpdate processes a WINDOW_UPDATE frame (RFC 9113 §6.9).
func (c *Conn) windowUpdate(out []byte, f frame, p []byte) ([]byte, Code) {
	if f.length != 4 {
		return out, FrameSizeError
	}
	c.updated()
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if f.stream == 0 {
		if n == 0 {
			return out, ProtocolError
		}
		if c.window += n; c.window > maxWindow {
			return out, FlowControlError
		}
		return out, NoError
	}
	s := c.find(f.stream)
	switch {
	case s == nil && c.idle(f.stream):
		return out, ProtocolError
	case s == nil:
		return out, NoError // the stream has ended
	case n == 0:
		return c.streamError(out, s.id, ProtocolError), NoError
	}
	if s.window += n; s.window > maxWindow {
		return c.streamError(out, s.id, FlowControlError), NoError
	}
	c.schedule(s)
	return out, NoError
}
