package h2

import (
	"encoding/binary"

	"phalanx/internal/conn"
)

const (
	// maxBlock is the largest header block in bytes. A block is not longer than its list
	// unless the client pads it on purpose (CVE-2024-27316).
	maxBlock = MaxHeaderList + maxFrame
	// maxContinuations is the largest number of CONTINUATION frames of a header block.
	maxContinuations = 8
)

// read processes complete frames, and discards payloads that are not needed.
func (c *Conn) read(out []byte, now conn.Now) []byte {
	if c.phase == phasePreface && !c.preface(now) {
		return out
	}
	for c.phase == phaseOpen && c.calm == ReasonNone {
		if c.skip > 0 {
			n := min(c.skip, len(c.in))
			if c.in, c.skip = c.in[n:], c.skip-n; c.body {
				c.uploaded(int64(n), now)
			}
			if c.skip > 0 {
				return out
			}
			c.boundary(now)
		}
		if c.end != 0 {
			out = c.contentDone(out, now)
		}
		if len(c.in) < headerLen {
			return out
		}
		f := parseFrame(c.in)
		if code := c.check(f); code != NoError {
			c.fail(code, ReasonProtocol)
			return out
		}
		need := headerLen + f.length
		if discarded(f) {
			if need = headerLen; f.kind == frameData && f.has(flagPadded) && f.length > 0 {
				need++
			}
		}
		if len(c.in) < need {
			return out
		}
		payload := c.in[headerLen:need]
		c.in = c.in[need:]
		c.skip, c.body = headerLen+f.length-need, false
		var code Code
		if out, code = c.take(out, f, payload, now); code != NoError {
			c.fail(code, ReasonProtocol)
		}
		c.boundary(now)
	}
	return out
}

// boundary restarts the timeout of incomplete frames after a frame, unless its header block
// continues.
func (c *Conn) boundary(now conn.Now) {
	if c.skip == 0 && c.blockStream == 0 {
		c.came = now.Mono
	}
}

// preface checks the client's connection preface; false if it is incomplete or wrong.
func (c *Conn) preface(now conn.Now) bool {
	begun, whole := conn.MatchPreface(c.in)
	if !begun {
		c.fail(ProtocolError, ReasonProtocol)
	} else if whole {
		c.in, c.phase, c.since = c.in[len(conn.Preface):], phaseOpen, now.Mono
	}
	return whole
}

// discarded reports whether a frame is processed before all of its payload was received.
func discarded(f frame) bool {
	unknown := f.kind > frameContinuation && f.kind != framePriorityUpdate
	return unknown || f.kind == frameData || f.kind == frameGoAway
}

// check applies the rules that hold for every frame.
func (c *Conn) check(f frame) Code {
	switch {
	case f.length > maxFrame:
		return FrameSizeError
	case !c.settled && (f.kind != frameSettings || f.has(flagAck)):
		return ProtocolError // RFC 9113 §3.4
	case c.blockStream != 0 && (f.kind != frameContinuation || f.stream != c.blockStream):
		return ProtocolError // RFC 9113 §6.10
	}
	c.settled = true
	return NoError
}

// take processes a frame. If its payload is discarded, payload holds at most the pad length.
func (c *Conn) take(out []byte, f frame, payload []byte, now conn.Now) ([]byte, Code) {
	switch f.kind {
	case frameData:
		return c.data(out, f, payload, now)
	case frameHeaders:
		return c.headers(out, f, payload, now)
	case frameContinuation:
		return c.continuation(out, f, payload, now)
	case framePriority:
		return c.deprecated(out, f, payload)
	case frameReset:
		return out, c.resetByClient(f, payload)
	case frameSettings:
		return c.settings(out, f, payload)
	case framePing:
		return c.ping(out, f, payload)
	case frameGoAway:
		if f.stream != 0 {
			return out, ProtocolError
		}
		if f.length < 8 {
			return out, FrameSizeError
		}
		c.spend(1, ReasonFrames)
		c.parting = true
	case frameWindowUpdate:
		return c.windowUpdate(out, f, payload)
	case framePriorityUpdate:
		return out, c.priorityUpdate(f, payload)
	case framePushPromise:
		return out, ProtocolError // RFC 9113 §8.4
	default:
		c.spend(1, ReasonFrames) // RFC 9113 §4.1: unknown types are ignored
	}
	return out, NoError
}

// headers processes a HEADERS frame (RFC 9113 §6.2). Its priority is ignored.
func (c *Conn) headers(out []byte, f frame, p []byte, now conn.Now) ([]byte, Code) {
	if f.stream == 0 || f.stream&1 == 0 {
		return out, ProtocolError // RFC 9113 §5.1.1
	}
	p, ok := unpad(f, p)
	if !ok {
		return out, ProtocolError
	}
	if f.has(flagPriority) {
		switch {
		case len(p) < 5:
			return out, FrameSizeError
		case streamID(p) == f.stream:
			return out, ProtocolError // RFC 7540 §5.3.1
		}
		p = p[5:]
	}
	c.blockStream, c.blockEnd, c.continuations = f.stream, f.has(flagEndStream), 0
	if f.has(flagEndHeaders) {
		return c.blockDone(out, p, now)
	}
	c.block = append(c.block[:0], p...)
	return out, NoError
}

// continuation processes a CONTINUATION frame (RFC 9113 §6.10).
func (c *Conn) continuation(out []byte, f frame, p []byte, now conn.Now) ([]byte, Code) {
	if c.blockStream == 0 {
		return out, ProtocolError
	}
	if c.continuations++; c.continuations > maxContinuations || len(c.block)+len(p) > maxBlock {
		c.calm = ReasonContinuations
		return out, NoError
	}
	c.spend(1, ReasonContinuations)
	c.block = append(c.block, p...)
	if !f.has(flagEndHeaders) {
		return out, NoError
	}
	out, code := c.blockDone(out, c.block, now)
	c.block = nil
	return out, code
}

// blockDone processes a complete header block.
func (c *Conn) blockDone(out, block []byte, now conn.Now) ([]byte, Code) {
	id, end := c.blockStream, c.blockEnd
	c.blockStream = 0
	if s := c.find(id); s != nil {
		return c.trailing(out, s, block, end)
	}
	if id <= c.last {
		if code := c.late(id); code != NoError {
			return out, code
		}
		switch c.trailers(block) {
		case verdictBroken:
			return out, CompressionError
		case verdictMalformed:
			return c.streamError(out, id, ProtocolError), NoError
		}
		return out, NoError
	}
	crowded := c.crowded()
	if crowded || c.final || len(c.streams) >= MaxStreams {
		if c.trailers(block) == verdictBroken {
			return out, CompressionError
		}
		c.number(id)
		c.ignore(id)
		if c.final {
			// GOAWAY tells the client that the request was not processed (RFC 9113 §6.8).
			c.spend(1, ReasonFrames)
			return out, NoError
		}
		cost := costStreamError / 2
		if crowded || !c.acked {
			cost = 1 // other connections may have used the memory, or the client does not know the limit
		}
		c.spend(cost, ReasonStreamErrors)
		return appendReset(out, id, RefusedStream), NoError
	}
	c.number(id)
	s := c.open(id, now)
	v := c.decode(s, block)
	c.weigh(s)
	switch v {
	case verdictBroken:
		return out, CompressionError
	case verdictMalformed:
		return c.streamError(out, id, ProtocolError), NoError
	case verdictTooLarge:
		c.spend(costStreamError, ReasonHeaderLists)
		s.parser.Parse(s.head) // it has no more than the method
		s.fault, s.ended = tooMany, end
		c.complete(s, now)
		return out, NoError
	}
	if c.early != nil {
		c.takeEarly(s)
	}
	return c.began(out, s, end, now), NoError
}

// trailing processes a header block on an open stream: trailers.
func (c *Conn) trailing(out []byte, s *stream, block []byte, end bool) ([]byte, Code) {
	v := c.trailers(block)
	switch {
	case v == verdictBroken:
		return out, CompressionError
	case s.ended:
		return c.streamError(out, s.id, StreamClosed), NoError
	case v == verdictMalformed || !end:
		return c.streamError(out, s.id, ProtocolError), NoError
	}
	c.end = s.id
	return out, NoError
}

// number records that the client has opened a stream.
func (c *Conn) number(id uint32) {
	shift := (id - c.last) / 2
	if c.last == 0 {
		shift = 64
	}
	c.opened, c.reset, c.last = c.opened<<shift|1, c.reset<<shift, id
}

// ignore records that further frames for a stream are no error.
func (c *Conn) ignore(id uint32) {
	if d := (c.last - id) / 2; d < 64 {
		c.reset |= 1 << d
	}
}

// idle reports whether the client has opened neither the stream nor a higher one
// (RFC 9113 §5.1.1). Stream 0 and streams with even numbers are never opened.
func (c *Conn) idle(id uint32) bool { return id&1 == 0 || id > c.last }

// late returns the error for a frame on a stream that is closed (RFC 9113 §5.1), or NoError if
// the client may not know yet that the server has reset it.
func (c *Conn) late(id uint32) Code {
	d := (c.last - id) / 2
	switch {
	case c.idle(id):
		return ProtocolError
	case d >= 64 || c.reset&(1<<d) != 0:
		c.spend(1, ReasonFrames)
		return NoError
	case c.opened&(1<<d) == 0:
		return ProtocolError // it was skipped
	}
	return StreamClosed
}

// ping processes a PING frame (RFC 9113 §6.7). The client's acknowledgement of the server's
// own proves that it has received the GOAWAY frame before it.
func (c *Conn) ping(out []byte, f frame, p []byte) ([]byte, Code) {
	switch {
	case f.stream != 0:
		return out, ProtocolError
	case f.length != 8:
		return out, FrameSizeError
	}
	c.spend(1, ReasonPings)
	if f.has(flagAck) {
		if c.warned && string(p) == drainPing {
			out = c.finalGoAway(out)
		}
		return out, NoError
	}
	return appendPing(out, flagAck, p), NoError
}

// deprecated checks a PRIORITY frame, which has no effect any more (RFC 9113 §5.3.2).
func (c *Conn) deprecated(out []byte, f frame, p []byte) ([]byte, Code) {
	switch {
	case f.stream == 0:
		return out, ProtocolError
	case f.length != 5 && c.find(f.stream) != nil:
		return c.streamError(out, f.stream, FrameSizeError), NoError
	case f.length != 5:
		return out, FrameSizeError
	case streamID(p) == f.stream:
		return out, ProtocolError // RFC 7540 §5.3.1
	}
	c.spend(1, ReasonPriorities)
	return out, NoError
}

// resetByClient processes a RST_STREAM frame (RFC 9113 §6.4).
func (c *Conn) resetByClient(f frame, p []byte) Code {
	switch {
	case c.idle(f.stream):
		return ProtocolError
	case f.length != 4:
		return FrameSizeError
	}
	c.spend(1, ReasonResets)
	if s := c.find(f.stream); s != nil {
		s.reply.Abort(resetError(binary.BigEndian.Uint32(p)))
		c.drop(s)
	}
	return NoError
}
