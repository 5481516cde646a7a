package serve

import (
	"bytes"
	"crypto/tls"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proxyproto"
	"phalanx/internal/tlsconn"
)

// Tally counts in the worker's row for one event loop or session. It is the observer of
// connections without a Journal.
type Tally struct {
	Row   *scoreboard.Row
	Clock *Clock
	Alone bool // the only Tally of this row
	Sites bool // there are several sites, which are counted separately
	// Limits alerts the operator about clients below the minimum rate; nil: no alerts.
	Limits *Limits

	whole []time.Duration // start times of requests with complete responses that may not be sent yet
	busy  bool            // Row.Busy was set
}

// Received stores the request under way, for the report if this worker dies.
func (t *Tally) Received(x *conn.Exchange) {
	t.Row.Last.Set(x.Line(), t.Clock.Boot(x.Began))
	if t.Alone && !t.busy {
		t.busy = true
		t.Row.Busy.Store(true)
	}
}

// Decided counts a response.
func (t *Tally) Decided(x *conn.Exchange) {
	t.Row.Requests[min(x.Status/100, 5)].Add(1)
	t.Row.Versions[x.Version].Add(1)
	if x.Denied {
		t.Row.Denied.Add(1)
	}
	if t.Sites {
		t.Row.Sites[x.Site].Requests[min(x.Status/100, 5)].Add(1)
	}
	if x.Source == conn.SourceFile && x.File.Copied() {
		t.Row.Copied.Add(1)
	}
}

// Ended counts a truncated response, or stores the start time of a request with a complete
// response. If a worker that died began the exchange, its site and start time may be unknown.
func (t *Tally) Ended(x *conn.Exchange) {
	known := x.Status != 0
	if t.Sites && known {
		t.Row.Sites[x.Site].Bytes.Add(uint64(max(x.Bytes, 0)))
	}
	if x.Err != nil {
		t.Row.Truncated.Add(1)
		return
	}
	if known {
		t.whole = append(t.whole, x.Began)
	}
}

// Expired counts a connection that timed out.
func (t *Tally) Expired(timer conn.Timer) {
	switch timer {
	case conn.TimerRate:
		t.Row.Limited[scoreboard.LimitRate].Add(1)
		if t.Limits != nil {
			t.Limits.TooSlow(t.Clock.Mono())
		}
		fallthrough
	case conn.TimerHead, conn.TimerSend:
		t.Row.TimedOut.Add(1)
	}
}

// Secured counts a complete TLS handshake.
func (t *Tally) Secured(info tlsconn.Info) {
	version := 0
	if info.Version == tls.VersionTLS13 {
		version = 1
	}
	if t.Row.Handshakes[version].Add(1); info.Resumed {
		t.Row.Resumed.Add(1)
	}
}

// Misused counts an HTTP/2 connection that the server ended on account of the client's
// behaviour.
func (t *Tally) Misused(reason h2.Reason) {
	if reason != h2.ReasonNone {
		t.Row.Misused[reason].Add(1)
	}
}

// EndTLS ends a connection's TLS, and counts and logs a failure. A missing close_notify is none,
// because most clients do not send it.
func (t *Tally) EndTLS(c *tlsconn.Conn, log *Journal) tlsconn.Reason {
	err := c.Err()
	reason := c.Close()
	if reason != tlsconn.ReasonNone && reason != tlsconn.ReasonUnclosed {
		t.Row.Unsecured[reason].Add(1)
		log.unsecured(reason, err)
	}
	return reason
}

const (
	_ = uint(scoreboard.MaxReasons - tlsconn.NumReasons)
	_ = uint(scoreboard.MaxReasons - h2.NumReasons)
	_ = uint(scoreboard.MaxReasons - proxyproto.NumReasons)
)

// Rest records that the worker is idle.
func (t *Tally) Rest() {
	if t.busy {
		t.busy = false
		t.Row.Busy.Store(false)
	}
}

// Sent counts bytes that were written to sockets.
func (t *Tally) Sent(n int) {
	if n > 0 {
		t.Row.Bytes.Add(uint64(n))
	}
}

// Settle counts the durations of complete responses once all bytes are written to the socket.
func (t *Tally) Settle() {
	if len(t.whole) > 0 {
		t.Took(t.whole)
		t.whole = t.whole[:0]
	}
}

// Took counts the durations of responses, given the start times of their requests.
func (t *Tally) Took(whole []time.Duration) {
	if len(whole) == 0 {
		return
	}
	now := t.Clock.Mono()
	for _, began := range whole {
		t.Row.Took(now - began)
	}
}

// Undelivered removes and returns the start times of the requests whose complete responses are
// not sent yet; nil if there are none.
func (t *Tally) Undelivered() []time.Duration {
	if len(t.whole) == 0 {
		return nil
	}
	began := slices.Clone(t.whole)
	t.whole = t.whole[:0]
	return began
}

// Lose counts complete but unsent responses as truncated.
func (t *Tally) Lose() {
	t.Row.Truncated.Add(uint64(len(t.whole)))
	t.whole = t.whole[:0]
}

// SurveyEvery is the interval at which a busy worker surveys its connections.
const SurveyEvery = time.Second

// Survey is a summary of all connections.
type Survey struct {
	open, idle int
	streams    int           // of HTTP/2
	oldest     []byte        // request line of the longest-running request
	began      time.Duration // when that began; 0: there is none
}

// See adds a connection.
func (v *Survey) See(view conn.View) {
	v.open++
	v.streams += view.Streams
	switch view.State {
	case conn.Idle:
		v.idle++
	case conn.Receiving, conn.Sending:
		if v.began == 0 || view.Since < v.began {
			v.began, v.oldest = view.Since, append(v.oldest[:0], view.Line...)
		}
	}
}

// Publish writes the survey into the row.
func (v *Survey) Publish(row *scoreboard.Row, c *Clock) {
	row.Active.Store(int64(v.open))
	row.Idle.Store(int64(v.idle))
	row.Streams.Store(int64(v.streams))
	row.Beat.Store(c.Boot(c.Mono()))
	if v.began == 0 {
		row.Oldest.Set(nil, 0)
		return
	}
	row.Oldest.Set(v.oldest, c.Boot(v.began))
}

// Seen is a connection in the list of all.
type Seen struct {
	Client    string        // address and port
	conn.View               // Sent is what the client has acknowledged
	Age       time.Duration // since View.Since
}

// See combines a view with the kernel's data about the socket, and copies the view's line. The
// client is that of the request under way, else that of the connection, else the peer.
func See(fd int, client *clientip.Addr, v conn.View, now time.Duration) Seen {
	if v.State == conn.Sending && v.Sent > 0 {
		if waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			v.Sent = max(0, v.Sent-int64(waiting))
		}
	}
	v.Line = bytes.Clone(v.Line)
	var peer clientip.Addr
	if v.Client.Known() {
		client = &v.Client
	}
	if client == nil {
		peer = Peer(fd)
		client = &peer
	}
	return Seen{client.String(), v, now - v.Since}
}
