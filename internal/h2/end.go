package h2

import (
	"errors"
	"fmt"
	"time"

	"phalanx/internal/conn"
)

// This file ends connections: by error, by time, and when the worker drains.

// drainPing is the content of the PING frame behind the first GOAWAY.
const drainPing = "draining"

// Error makes a code the cause of a truncated response.
func (code Code) Error() string {
	return fmt.Sprintf("the stream was reset, HTTP/2 error code %d", uint32(code))
}

// resetError is the cause of a response that the client has reset.
type resetError Code

func (e resetError) Error() string {
	return fmt.Sprintf("the client reset the stream, HTTP/2 error code %d", uint32(e))
}

var errFailed = errors.New("the connection was ended by an HTTP/2 error")

// Finish makes the connection end with its next response. Unlike Drain, it leaves an idle
// one its time.
func (c *Conn) Finish() { c.finishes = true }

// Drain makes the connection end with the streams that are open, or that the client has
// opened before it knew: Next announces that.
func (c *Conn) Drain(now conn.Now) {
	if !c.draining || c.drain == 0 {
		c.draining, c.drain = true, now.Mono
	}
}

// announce sends the two GOAWAY frames of a graceful end (RFC 9113 §6.8): one that only
// warns, and when the client must have seen it, one with the last stream.
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

// over reports whether nothing more can come, and ends the connection then.
func (c *Conn) over() bool {
	if len(c.streams) > 0 || !c.final && !c.parting {
		return false
	}
	c.phase = phaseDone
	return true
}

// rested notes when the last stream has ended: an idle connection has its time from then,
// and so has a frame of which the rest may not have been read meanwhile.
func (c *Conn) rested(now conn.Now) {
	if c.active && len(c.streams) == 0 && c.unsent == 0 {
		c.active, c.since, c.came = false, now.Mono, now.Mono
	}
}

// goAway sends the last frame of the connection.
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
	c.phase, c.since = phaseLinger, now.Mono
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

// Linger replaces the step Close when the caller knows that there are bytes left to
// receive; see [conn.Conn.Linger].
func (c *Conn) Linger(now conn.Now) conn.Step {
	c.phase, c.since = phaseLinger, now.Mono
	return conn.Linger
}

// Abort ends the connection from outside: the socket failed, the client is gone, or a
// file has become shorter than announced. The cause goes to the observer for each response
// that it truncates.
func (c *Conn) Abort(cause error) {
	c.release(func(s *stream) { s.reply.Abort(cause) })
	c.phase = phaseAborted
}

// Leave ends the connection; the observer is not called.
func (c *Conn) Leave() {
	c.release(func(s *stream) { s.reply.Leave() })
	c.phase = phaseClosed
}

// sweep ends streams that take too long beside others that do not.
func (c *Conn) sweep(out []byte, now conn.Now) []byte {
	for i := len(c.streams) - 1; i >= 0; i-- {
		s := c.streams[i]
		switch idle := now.Mono - s.since; {
		case s.phase == streamReceiving && idle >= conn.HeadTimeout:
			s.fault = late
			c.complete(s, now)
		case s.phase == streamSending && s.window <= 0 && idle >= conn.SendTimeout:
			out = c.streamError(out, s.id, EnhanceYourCalm)
		}
	}
	return out
}

// partial reports whether the beginning of something has come, but not its end.
func (c *Conn) partial() bool { return len(c.in) > 0 || c.skip > 0 || c.blockStream != 0 }

// Timer returns what the deadline is about now.
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
	switch c.Timer() {
	case conn.TimerIdle:
		return c.since + c.cfg.http.KeepAlive
	case conn.TimerGrace:
		return max(c.since, c.drain) + conn.DrainGrace
	case conn.TimerHead:
		return c.received() + conn.HeadTimeout
	case conn.TimerSend:
		return c.since + conn.SendTimeout
	case conn.TimerLinger:
		return c.since + conn.LingerTimeout
	}
	return c.since
}

// received is since when the oldest thing is waited for that is not complete.
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

// Expire checks the deadline against the time now. If it has passed, the next call of
// Next returns what follows, and Expire returns the kind of deadline; else TimerNone.
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
		c.swept = 0 // Next answers the requests
	case conn.TimerSend:
		return c.stalled(now)
	}
	return timer
}

// stalled ends a connection whose client takes nothing. If it has taken all that its
// windows allow, it can still be told.
func (c *Conn) stalled(now conn.Now) conn.Timer {
	if c.unsent == 0 && c.waiting > 0 {
		c.since = now.Mono // it is the server that makes no progress
		return conn.TimerNone
	}
	c.reason = ReasonStalled
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

// Unsent tells the connection that n bytes of what Next returned have not been sent yet;
// 0 says that now all have.
func (c *Conn) Unsent(n int, now conn.Now) {
	if taken := int64(c.unsent) - int64(n); taken >= 0 {
		c.took(taken, now)
	} else {
		c.since = now.Mono // they have just been made
	}
	c.unsent = int32(n)
}

// Progress notes that the client has taken n bytes that were handed to the kernel earlier.
func (c *Conn) Progress(n int64, now conn.Now) {
	if n > 0 {
		c.took(n, now)
	}
}

// Waited leaves the time since then out of the current deadline: it was the server that
// waited, not the client.
func (c *Conn) Waited(then time.Duration, now conn.Now) {
	c.since = min(now.Mono, c.since+now.Mono-then)
}

// took notes that n bytes have gone.
func (c *Conn) took(n int64, now conn.Now) {
	if c.pace.Moved(n, c.cfg.http.Rate(c.draining), conn.SendTimeout) {
		c.since = now.Mono
	}
}
