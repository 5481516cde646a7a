package serve

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
)

// Tally counts for one thread of serving: an event loop, or a session. It is the
// observer of connections that nobody logs. The row is the whole worker's.
type Tally struct {
	Row   *scoreboard.Row
	Clock *Clock
	Alone bool // nobody else counts in this row

	whole []time.Duration // when those requests began whose replies are whole, but perhaps not sent yet
	busy  bool            // Row.Busy was set
}

// Received notes what this worker is at work on, for whoever finds it dead.
func (t *Tally) Received(x *conn.Exchange) {
	t.Row.Last.Set(x.Line(), t.Clock.Boot(x.Began))
	if t.Alone && !t.busy {
		t.busy = true
		t.Row.Busy.Store(true)
	}
}

// Decided counts a response.
func (t *Tally) Decided(x *conn.Exchange) { t.Row.Requests[min(x.Status/100, 5)].Add(1) }

// Ended counts a truncated response, and notes when the request of one began
// that is whole.
func (t *Tally) Ended(x *conn.Exchange) {
	if x.Err != nil {
		t.Row.Cut.Add(1)
		return
	}
	t.whole = append(t.whole, x.Began)
}

// Expired counts a connection that was waited for too long.
func (t *Tally) Expired(timer conn.Timer) {
	if timer == conn.TimerHead || timer == conn.TimerSend {
		t.Row.Timeouts.Add(1)
	}
}

// Rest notes that the worker waits.
func (t *Tally) Rest() {
	if t.busy {
		t.busy = false
		t.Row.Busy.Store(false)
	}
}

// Sent counts bytes that the kernel has taken.
func (t *Tally) Sent(n int) {
	if n > 0 {
		t.Row.Bytes.Add(uint64(n))
	}
}

// Settle counts the time that whole replies took, all of whose bytes the kernel
// has taken now.
func (t *Tally) Settle() {
	if len(t.whole) > 0 {
		t.Took(t.whole)
		t.whole = t.whole[:0]
	}
}

// Took counts the time that such replies took.
func (t *Tally) Took(whole []time.Duration) {
	now := t.Clock.Mono()
	for _, began := range whole {
		t.Row.Took(now - began)
	}
}

// Undelivered takes the replies over that are whole and have not been sent yet: when
// their requests began. It is nil when there is none.
func (t *Tally) Undelivered() []time.Duration {
	if len(t.whole) == 0 {
		return nil
	}
	began := slices.Clone(t.whole)
	t.whole = t.whole[:0]
	return began
}

// Lose counts replies that will not reach their client.
func (t *Tally) Lose() {
	t.Row.Cut.Add(uint64(len(t.whole)))
	t.whole = t.whole[:0]
}

// SurveyEvery is how often a worker that has something to do looks at all of its
// connections.
const SurveyEvery = time.Second

// Survey is what a look at all connections finds.
type Survey struct {
	open, idle int
	oldest     []byte        // what is known of the request that is under way for longest
	began      time.Duration // when that began; 0: there is none
}

// See adds a connection.
func (v *Survey) See(view conn.View) {
	v.open++
	switch view.State {
	case conn.Idle:
		v.idle++
	case conn.Receiving, conn.Sending:
		if v.began == 0 || view.Since < v.began {
			v.began, v.oldest = view.Since, append(v.oldest[:0], view.Line...)
		}
	}
}

// Publish writes what was found into the row.
func (v *Survey) Publish(row *scoreboard.Row, c *Clock) {
	row.Active.Store(int64(v.open))
	row.Idle.Store(int64(v.idle))
	row.Beat.Store(c.Boot(c.Mono()))
	if v.began == 0 {
		row.Oldest.Set(nil, 0)
		return
	}
	row.Oldest.Set(v.oldest, c.Boot(v.began))
}

// Seen is a connection for who asks for all of them.
type Seen struct {
	Client    string        // address and port
	conn.View               // Sent is what the client has acknowledged
	Age       time.Duration // since View.Since
}

// See completes a view with what the kernel knows of the socket, and makes it
// outlast the moment.
func See(fd int, v conn.View, now time.Duration) Seen {
	if v.State == conn.Sending && v.Sent > 0 {
		if waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			v.Sent = max(0, v.Sent-int64(waiting))
		}
	}
	v.Line = bytes.Clone(v.Line)
	return Seen{address(Client(fd)), v, now - v.Since}
}
