package serve

import (
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proto"
)

// tally counts for one thread of serving: an event loop, or a session. The row
// is the whole worker's.
type tally struct {
	row   *scoreboard.Row
	clock *clock
	whole []time.Duration // when those requests began whose replies are whole, but perhaps not sent yet
	alone bool            // nobody else counts in this row
	busy  bool            // row.Busy was set
}

// Received notes what this worker is at work on, for whoever finds it dead.
func (t *tally) Received(line []byte, began time.Duration) {
	t.row.Last.Set(line, t.clock.boot(began))
	if t.alone && !t.busy {
		t.busy = true
		t.row.Busy.Store(true)
	}
}

// rest notes that the worker waits.
func (t *tally) rest() {
	if t.busy {
		t.busy = false
		t.row.Busy.Store(false)
	}
}

func (t *tally) Begun(s proto.Status)     { t.row.Requests[min(s/100, 5)].Add(1) }
func (t *tally) Done(began time.Duration) { t.whole = append(t.whole, began) }
func (t *tally) Cut()                     { t.row.Cut.Add(1) }
func (t *tally) TimedOut()                { t.row.Timeouts.Add(1) }

// sent counts bytes that the kernel has taken.
func (t *tally) sent(n int) {
	if n > 0 {
		t.row.Bytes.Add(uint64(n))
	}
}

// settle counts the time that whole replies took, all of whose bytes the kernel
// has taken now.
func (t *tally) settle() {
	if len(t.whole) > 0 {
		t.took(t.whole)
		t.whole = t.whole[:0]
	}
}

func (t *tally) took(whole []time.Duration) {
	now := t.clock.mono()
	for _, began := range whole {
		t.row.Took(now - began)
	}
}

// lose counts replies that will not reach their client.
func (t *tally) lose() {
	t.row.Cut.Add(uint64(len(t.whole)))
	t.whole = t.whole[:0]
}

// lookAroundEvery is how often a worker that has something to do looks at all of its
// connections.
const lookAroundEvery = time.Second

// survey is what a look at all connections finds.
type survey struct {
	open, idle int
	oldest     []byte        // what is known of the request that is under way for longest
	began      time.Duration // when that began; 0: there is none
}

func (v *survey) see(view conn.View) {
	v.open++
	switch view.State {
	case conn.Idle:
		v.idle++
	case conn.Receiving, conn.Sending:
		if v.began == 0 || view.Since < v.began {
			v.began, v.oldest = view.Since, view.Line
		}
	}
}

// publish writes what was found into the row.
func (v *survey) publish(row *scoreboard.Row, c *clock) {
	row.Active.Store(int64(v.open))
	row.Idle.Store(int64(v.idle))
	row.Beat.Store(c.boot(c.mono()))
	if v.began == 0 {
		row.Oldest.Set(nil, 0)
		return
	}
	row.Oldest.Set(v.oldest, c.boot(v.began))
}

// Seen is a connection for who asks for all of them.
type Seen struct {
	Client    string        // address and port
	conn.View               // Sent is what the client has acknowledged
	Age       time.Duration // since View.Since
}

// see completes a view with what the kernel knows of the socket.
func see(fd int, v conn.View, now time.Duration) Seen {
	if v.State == conn.Sending && v.Sent > 0 {
		if waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			v.Sent = max(0, v.Sent-int64(waiting))
		}
	}
	return Seen{peerAddress(fd), v, now - v.Since}
}
