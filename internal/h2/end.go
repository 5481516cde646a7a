package h2

import (
	"errors"
	"fmt"
	"time"

	"phalanx/internal/conn"
)

// drainPing is the content of the PING frame after the first GOAWAY.
const drainPing = "draining"

// Error makes a code the cause of a truncated response.
func (code Code) Error() string {
	return fmt.Sprintf("the stream was reset, HTTP/2 error code %d", uint32(code))
}

// resetError is the cause of a response that was truncated because the client reset the
// stream.
type resetError Code

func (e resetError) Error() string {
	return fmt.Sprintf("the client reset the stream, HTTP/2 error code %d", uint32(e))
}

var errFailed = errors.New("the connection was ended by an HTTP/2 error")

// Finish makes the connection drain after its next response. Unlike Drain, it does not close
// an idle connection early.
func (c *Conn) Finish() { c.finishes = true }

// Drain begins a graceful shutdown: open streams, and those that the client opens before it
// receives GOAWAY, are served. Next sends the GOAWAY frames.
func (c *Conn) Drain(now conn.Now) {
	if !c.draining || c.drain == 0 {
		c.draining, c.drain = true, now.Mono
	}
}

// announce sends the two GOAWAY frames of a graceful shutdown (RFC 9113 §6.8): the first with
// the highest possible stream, and after a grace period the second with the last stream.
func (c *Conn) announce(out []byte, now conn.Now) []byte {
	switch {
	case !c.warned:
		c.warned, c.drain = true, now.Mono
		out = appendGoAway(out, maxWindow, NoError)
		return appendPing(out, 0, []byte(drainPing))
	case !c.final && now.Mono-c.drain >= conn.DrainGrace:
		return c.finalGoAway(out)
	}
	return out
}

func (c *Conn) finalGoAway(out []byte) []byte {
	if c.final {
		return out
	}
	c.final, c.served = true, c.last
	return appendGoAway(out, c.served, NoError)
}

// over ends the connection if no stream is open and none can follow, and reports whether it
// did.
func (c *Conn) over() bool {
	if len(c.streams) > 0 || !c.final && !c.parting {
		return false
	}
	c.phase = phaseDone
	return true
}

// rested notes when the last stream has ended. The idle timeout starts then, and so does the
// timeout of an incomplete frame, whose rest may not have been read meanwhile.
func (c *Conn) rested(now conn.Now) {
	if c.active && len(c.streams) == 0 && c.unsent == 0 {
		c.active, c.since, c.came = false, now.Mono, now.Mono
	}
}

// goAway sends the last frame of the connection and ends all streams.
func (c *Conn) goAway(out []byte, now conn.Now) []byte {
	if !c.greeted {
		c.greeted = true
		out = appendSettings(out)
	}
	if !c.final {
		c.served = c.last
	}
	if !c.final || c.phase == phaseFailed {
		out = appendGoAway(out, c.served, c.code) // no higher than before (RFC 9113 §6.8)
	}
	c.release(func(s *stream) { s.reply.Abort(errFailed) })
	c.Linger(now)
	return out
}

// release ends all streams.
func (c *Conn) release(end func(*stream)) {
	for len(c.streams) > 0 {
		s := c.streams[len(c.streams)-1]
		end(s)
		c.drop(s)
	}
	c.sending, c.rest, c.block, c.early = nil, 0, nil, nil
	c.in, c.borrowed, c.skip, c.end, c.blockStream = nil, false, 0, 0, 0
}

// Linger replaces the step Close when there are bytes left to receive; see [conn.Conn.Linger].
func (c *Conn) Linger(now conn.Now) conn.Step {
	if c.phase != phaseLinger {
		c.tail, c.pace = now.Mono, conn.Pace{}
	}
	c.phase, c.since = phaseLinger, now.Mono
	return conn.Linger
}

// InTime reports whether a client that has acknowledged n more bytes since the connection lingers still
// receives the last responses. It has as much time as before the end, at the rate of a drain.
func (c *Conn) InTime(n int64, now conn.Now) bool {
	if c.pace.Moved(max(n, 0), c.cfg.http.Rate(true), conn.SendTimeout) {
		c.tail = now.Mono
	}
	return now.Mono-c.tail < conn.SendTimeout
}

// Abort ends the connection because the socket failed, the client disconnected, or a file
// became shorter than its Content-Length. The observer gets the cause for each truncated
// response.
func (c *Conn) Abort(cause error) {
	c.release(func(s *stream) { s.reply.Abort(cause) })
	c.phase = phaseAborted
}

// Leave ends the connection; the observer is not called.
func (c *Conn) Leave() {
	c.release(func(s *stream) { s.reply.Leave() })
	c.phase = phaseClosed
}

// sweep ends the streams that have timed out while others make progress. If none does, the deadline of the
// connection is no later than theirs (see Queued), and Expire ends it, even if an engine checks it late.
func (c *Conn) sweep(out []byte, now conn.Now) []byte {
	for i := len(c.streams) - 1; i >= 0; i-- {
		s := c.streams[i]
		switch idle := now.Mono - s.since; {
		case s.phase == streamReceiving && idle >= conn.HeadTimeout:
			s.fault = conn.Late
			c.complete(s, now)
		case s.phase == streamSending && s.window <= 0 && idle >= conn.SendTimeout && now.Mono < c.Deadline():
			out = c.streamError(out, s.id, EnhanceYourCalm)
		}
	}
	return out
}

// partial reports whether a frame or a header block is incomplete.
func (c *Conn) partial() bool { return len(c.in) > 0 || c.skip > 0 || c.blockStream != 0 }

// Timer returns the kind of the current deadline.
func (c *Conn) Timer() conn.Timer {
	if c.unsent > 0 && c.phase != phaseReset {
		return conn.TimerSend
	}
	switch c.phase {
	case phasePreface, phaseOpen:
		switch {
		case c.answering > 0:
			return conn.TimerSend
		case len(c.streams) > 0 || c.partial():
			return conn.TimerHead
		case c.draining:
			return conn.TimerGrace
		}
		return conn.TimerIdle
	case phaseLinger:
		return conn.TimerLinger
	}
	return conn.TimerNone
}

// Deadline returns the time on Now's monotonic clock at which [Conn.Expire] is due, if
// nothing happens before.
func (c *Conn) Deadline() time.Duration {
	since, timer := c.since, c.Timer()
	switch timer {
	case conn.TimerGrace:
		since = max(since, c.drain)
	case conn.TimerHead:
		since = c.received()
	}
	return since + c.cfg.http.Timeout(timer)
}

// received returns when the oldest incomplete frame, header block or request began, or last
// made progress.
func (c *Conn) received() time.Duration {
	since := time.Duration(1<<63 - 1)
	if c.partial() {
		since = c.came
	}
	for _, s := range c.streams {
		if s.phase == streamReceiving {
			since = min(since, s.since)
		}
	}
	return since
}

// Expire checks the deadline. If it has passed, Expire returns its kind, and the next call of
// Next returns the step that follows; otherwise Expire returns TimerNone.
func (c *Conn) Expire(now conn.Now) conn.Timer {
	if now.Mono < c.Deadline() {
		return conn.TimerNone
	}
	timer := c.Timer()
	switch timer {
	case conn.TimerIdle, conn.TimerGrace:
		c.phase = phaseDone
	case conn.TimerLinger:
		c.phase = phaseClosed
	case conn.TimerHead:
		if c.partial() && now.Mono-c.came >= conn.HeadTimeout {
			c.fail(NoError, ReasonSlow)
		}
		c.swept = 0 // Next responds to incomplete requests
	case conn.TimerSend:
		return c.stalled(now)
	}
	return timer
}

// stalled ends a connection whose client does not read. If only the flow-control windows are
// exhausted, the client still gets a GOAWAY frame.
func (c *Conn) stalled(now conn.Now) conn.Timer {
	if c.unsent == 0 && c.rest == 0 && c.waiting > 0 {
		c.since = now.Mono // the server makes no progress, not the client
		return conn.TimerNone
	}
	if c.reason == ReasonNone {
		c.reason = ReasonStalled
	}
	timer, cause := conn.TimerSend, conn.ErrSlow
	if c.pace.Begun() {
		timer, cause = conn.TimerRate, conn.ErrRate
	}
	if c.unsent == 0 && c.rest == 0 {
		c.release(func(s *stream) { s.reply.Abort(cause) })
		c.fail(EnhanceYourCalm, ReasonStalled)
		return timer
	}
	c.Abort(cause)
	c.phase = phaseReset
	return timer
}

// Unsent reports that n of the bytes that Next returned are not sent yet; 0: all are. What follows
// the last response has its time from then.
func (c *Conn) Unsent(n int, now conn.Now) {
	switch taken := int64(c.unsent) - int64(n); {
	case taken > 0:
		c.took(taken, now)
	case taken < 0 && (c.answering == 0 || c.cfg.http.Rate(c.draining) == 0):
		c.since = now.Mono // they were just made
	}
	if n == 0 && c.unsent > 0 && c.answering == 0 {
		c.since, c.came = now.Mono, now.Mono // what comes next has its own time
	}
	c.unsent = int32(n)
}

// Progress reports that the client has acknowledged n bytes.
func (c *Conn) Progress(n int64, now conn.Now) {
	if n > 0 {
		c.took(n, now)
	}
}

// Queued reports that the client has not acknowledged queued of the bytes that were sent. A stream with
// some of them, now or at the last call, has its time from now on: before, the client could not open its window.
// Like that of the connection, it begins when the client is found to have acknowledged them; see Progress.
func (c *Conn) Queued(queued int64, now conn.Now) {
	before := c.got
	c.got = c.made - queued - int64(c.unsent) - c.rest
	for _, s := range c.streams {
		if s.phase == streamSending && s.mark > min(c.got, before) {
			s.since = now.Mono
		}
	}
}

// Waited extends the current deadline by the time since then, when the server was slow and not
// the client.
func (c *Conn) Waited(then time.Duration, now conn.Now) {
	extend := func(since time.Duration) time.Duration { return min(now.Mono, since+now.Mono-then) }
	c.since, c.came = extend(c.since), extend(c.came)
	for _, s := range c.streams {
		if s.phase == streamReceiving {
			s.since = extend(s.since)
		}
	}
}

// offered starts the client's timeout when a response can be sent and no other could before.
func (c *Conn) offered(now conn.Now) {
	if c.answering-c.waiting == 1 && c.unsent == 0 {
		c.since, c.pace = now.Mono, conn.Pace{}
	}
}

// took notes that n bytes were sent.
func (c *Conn) took(n int64, now conn.Now) {
	if c.pace.Moved(n, c.cfg.http.Rate(c.draining), conn.SendTimeout) {
		c.since = now.Mono
	}
}
