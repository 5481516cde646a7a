package serve

import (
	"time"

	"phalanx/internal/conn"
)

// Protocol is the HTTP of one connection without I/O: a [conn.Conn] or an h2.Conn, which
// document the methods.
type Protocol interface {
	Receive(p []byte, now conn.Now)
	Hold()
	Next(out []byte, now conn.Now) ([]byte, conn.Step)
	Segment() conn.Segment
	Sent(n int64, now conn.Now)
	Await(wake func()) bool

	Unsent(n int, now conn.Now)
	Progress(n int64, now conn.Now)
	Waited(then time.Duration, now conn.Now)
	Timer() conn.Timer
	Deadline() time.Duration
	Expire(now conn.Now) conn.Timer

	Finish()
	Drain(now conn.Now)
	Linger(now conn.Now) conn.Step
	Abort(cause error)
	Aborted() bool
	Leave()

	State() conn.State
	View() conn.View
	Left() int64
	Movable() bool // only a conn.Conn is
	Mark() conn.Mark
	Rest() int
	Unused() []byte
}
