package h2

import (
	"bytes"
	"sync/atomic"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// choose returns the stream that sends next; nil: none can. While the connection's window is
// closed, streams that send no content still can.
func (c *Conn) choose() *stream {
	s := c.queue.next()
	if s == nil || c.window > 0 || !s.hasContent() {
		return s
	}
	for _, s := range c.streams {
		if s.listed && !s.hasContent() {
			return s
		}
	}
	return nil
}

// hasContent reports whether the next thing that the stream sends is content.
func (s *stream) hasContent() bool {
	return s.phase == streamSending && (s.sent < len(s.pending) || s.reply.Segment().Len > 0)
}

// schedule adds a stream to the queue if it can send, and removes it if it cannot.
func (c *Conn) schedule(s *stream) {
	able := s.phase != streamReceiving && s.woken == nil && !s.postponed && (s.window > 0 || !s.hasContent())
	switch {
	case able && !s.listed:
		c.queue.push(s)
	case !able && s.listed:
		c.queue.remove(s)
	}
}

// serve advances the response of a stream by one step: its head, or one DATA frame.
func (c *Conn) serve(out []byte, s *stream, now conn.Now) []byte {
	switch s.phase {
	case streamReady:
		if c.postpone(s) {
			return out
		}
		return c.decided(out, s, c.answer(s, now), now)
	case streamPreparing:
		return c.decided(out, s, s.reply.Prepare(c.cfg.head[:0], now), now)
	}
	if !s.hasContent() {
		return c.framed(out, s, now)
	}
	return c.content(out, s, now)
}

// answer begins the exchange and returns what is ready of the response. A request that is
// reset before this has no exchange.
func (c *Conn) answer(s *stream, now conn.Now) []byte {
	r := s.parser.Request()
	switch {
	case s.fault.Status == 0:
		s.reply.Open(r, s.head, conn.HTTP2, s.began)
		return s.reply.Answer(c.cfg.head[:0], now)
	case s.whole:
		s.reply.Open(r, s.head, conn.HTTP2, s.began)
	default:
		s.reply.OpenRefused(r, conn.HTTP2, s.began)
	}
	return s.reply.Refuse(c.cfg.head[:0], s.fault, now)
}

// decided sends the head of a response, once it is ready, with the first content.
func (c *Conn) decided(out []byte, s *stream, head []byte, now conn.Now) []byte {
	c.cfg.head = head
	if s.phase = streamPreparing; s.reply.Pending() {
		c.await(s)
		return out
	}
	s.phase, s.since, s.mark = streamSending, now.Mono, c.made // the client may not open the window before
	c.fileOpened(s)
	x := s.reply.Exchange()
	content := head[len(head)-int(x.Bytes):]
	s.pending, s.sent = append(s.pending[:0], content...), 0
	mark := len(out)
	out = c.appendHead(out, s.id, head[:len(head)-len(content)])
	if c.window > 0 {
		c.took(0, now) // without a minimum rate, a response is progress even if it has no content
	}
	step := c.fetch(s, now)
	switch {
	case step == conn.Reset:
		return c.streamError(out, s.id, InternalError) // the client's HPACK table needs the head
	case s.last && !s.hasContent():
		out[mark+4] |= flagEndStream
		return c.finish(out, s)
	case step == conn.Await && !s.hasContent():
		c.await(s)
		return out
	case s.window > 0 && c.window > 0 && len(out) < conn.FlushAt:
		return c.content(out, s, now)
	}
	c.schedule(s)
	return out
}

// fetch gets the next content from the response.
func (c *Conn) fetch(s *stream, now conn.Now) conn.Step {
	if s.sent == len(s.pending) {
		s.pending, s.sent = s.pending[:0], 0
	}
	var step conn.Step
	s.pending, step = s.reply.Next(s.pending, now)
	c.weigh(s)
	s.last = step == conn.Close || step == conn.Send && s.reply.Last()
	return step
}

// content appends a DATA frame, or only its header if the payload is part of a file.
func (c *Conn) content(out []byte, s *stream, now conn.Now) []byte {
	limit := min(maxFrame, s.window, c.window)
	segment := s.reply.Segment().Len
	pending := int64(len(s.pending) - s.sent)
	n := min(limit, pending)
	if pending == 0 {
		n = min(limit, segment)
	}
	f := frame{int(n), frameData, 0, s.id}
	if s.last && n == pending+segment {
		f.flags = flagEndStream
	}
	out = appendFrame(out, f)
	s.window, c.window, s.since = s.window-n, c.window-n, now.Mono
	c.made += n
	s.mark = c.made
	if n == limit && n < smallWindow {
		c.spend(1, ReasonWindows) // CVE-2019-9511
	} else {
		c.earn(n)
	}
	if pending == 0 {
		c.sending, c.rest = s, n
		return out
	}
	out = append(out, s.pending[s.sent:s.sent+int(n)]...)
	s.sent += int(n)
	c.took(n, now)
	return c.framed(out, s, now)
}

// smallWindow is the window in bytes below which a DATA frame costs a point.
const smallWindow = 1 << 10

// framed continues a stream whose last frame is complete.
func (c *Conn) framed(out []byte, s *stream, now conn.Now) []byte {
	if s.hasContent() {
		c.queue.turn(s)
		c.schedule(s)
		return out
	}
	if s.last {
		return c.finish(out, s)
	}
	switch step := c.fetch(s, now); {
	case step == conn.Reset:
		return c.streamError(out, s.id, InternalError)
	case s.last && !s.hasContent():
		return c.finish(appendFrame(out, frame{0, frameData, flagEndStream, s.id}), s)
	case step == conn.Await && !s.hasContent():
		c.await(s)
		return out
	}
	c.queue.turn(s)
	c.schedule(s)
	return out
}

// finish ends a stream whose response is complete, and asks the client to stop sending the
// request (RFC 9113 §8.1).
func (c *Conn) finish(out []byte, s *stream) []byte {
	s.reply.Finish()
	if !s.ended {
		out = appendReset(out, s.id, NoError)
		c.ignore(s.id)
	}
	c.drop(s)
	c.earn(0)
	if c.finishes {
		c.draining = true
	}
	return out
}

// streamError resets a stream (RFC 9113 §5.4.2). It costs points unless the server causes it: its
// response broke off, or it waits no longer for the stream's window.
func (c *Conn) streamError(out []byte, id uint32, code Code) []byte {
	if s := c.find(id); s != nil {
		s.reply.Abort(code)
		c.drop(s)
	}
	c.ignore(id)
	if code != InternalError && code != EnhanceYourCalm {
		c.spend(costStreamError, ReasonStreamErrors)
	}
	return appendReset(out, id, code)
}

// await makes a stream wait for content that another goroutine prepares.
func (c *Conn) await(s *stream) {
	woken := new(atomic.Bool)
	wake := c.wake
	if s.reply.Await(func() { woken.Store(true); wake() }) {
		s.woken = woken
		c.waiting++
	} else {
		c.yield = true // more is ready, but other connections come first
	}
	c.schedule(s)
}

// awaken schedules the streams whose wait is over.
func (c *Conn) awaken(now conn.Now) {
	for _, s := range c.streams {
		if s.woken != nil && s.woken.Load() {
			s.woken = nil
			c.waiting--
			c.schedule(s)
			c.offered(now)
		}
	}
}

// appendHead appends an HTTP/1.1 response head as a HEADERS frame.
func (c *Conn) appendHead(out []byte, id uint32, head []byte) []byte {
	mark := len(out)
	out = append(out, make([]byte, headerLen)...)
	out = c.encoder.Begin(out)
	out = c.encoder.AppendStatus(out, head[len("HTTP/1.1 "):][:3])
	_, lines, _ := bytes.Cut(head, []byte("\r\n"))
	for {
		end := bytes.IndexByte(lines, '\r')
		colon := bytes.IndexByte(lines, ':')
		if end <= 0 || colon < 0 || colon > end {
			break
		}
		out = c.encoder.Append(out, lines[:colon], proto.Trim(lines[colon+1:end]))
		lines = lines[end+2:]
	}
	return c.sealHead(out, mark, id)
}

// sealHead writes the frame header before the header block at mark, and splits a long block
// into CONTINUATION frames.
func (c *Conn) sealHead(out []byte, mark int, id uint32) []byte {
	f := frame{len(out) - mark - headerLen, frameHeaders, flagEndHeaders, id}
	if f.length <= maxFrame {
		appendFrame(out[:mark], f)
		return out
	}
	block := append([]byte(nil), out[mark+headerLen:]...)
	out, f.flags = out[:mark], 0
	for len(block) > 0 {
		if f.length = min(len(block), maxFrame); f.length == len(block) {
			f.flags = flagEndHeaders
		}
		out = append(appendFrame(out, f), block[:f.length]...)
		block, f.kind = block[f.length:], frameContinuation
	}
	return out
}

// Segment returns the part of a file to send for the step Send.
func (c *Conn) Segment() conn.Segment {
	if c.rest == 0 {
		return conn.Segment{}
	}
	segment := c.sending.reply.Segment()
	segment.Len = c.rest
	return segment
}

// Sent reports that n bytes of the segment were sent.
func (c *Conn) Sent(n int64, now conn.Now) {
	c.sending.reply.Sent(n)
	c.rest -= n
	c.took(n, now)
}

// Await is never called: Next does not return the step Await, since streams wait one by one.
func (c *Conn) Await(func()) bool { return false }
