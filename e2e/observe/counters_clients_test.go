package observe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// This file defines the clients of TestCounters, which count what they receive.

const (
	auditSize   = 8 << 20
	auditBuffer = 64 << 10 // of a socket, small so that the server has to wait for a slow client
)

// ledger holds what the clients have counted.
type ledger struct {
	mu       sync.Mutex
	begun    map[string]int64 // response heads received, by class of status
	whole    int64            // responses received completely
	lost     int64            // requests that may have been read but got no response head
	conns    int64            // connections established
	answered int64            // connections on which a response head was received
	bytes    int64            // bytes received, heads included
	errs     []error          // unexpected errors
}

func newLedger() *ledger { return &ledger{begun: map[string]int64{}} }

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) total() (n int64) {
	for _, k := range l.begun {
		n += k
	}
	return n
}

// auditor is one client.
type auditor struct {
	*ledger
	port    int
	buffer  int         // size of the socket's receive buffer; 0: the kernel's choice
	excused func() bool // reports whether any connection may end now
	lapses  bool        // an idle connection may end at any time
	quit    chan struct{}
	rng     *rand.Rand

	conn  *harness.Client
	heads int // received on this connection
}

// metered counts the bytes read from a connection.
type metered struct {
	io.Reader
	*ledger
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.note(func() { m.bytes += int64(n) })
	return n, err
}

// query is a request and its expected response.
type query struct {
	text   string
	status int
	length int64 // of the body; -1: whatever Content-Length says
	last   bool  // the server closes the connection
}

// auditable returns the document root for the queries.
func auditable(t *testing.T) string {
	t.Helper()
	base := harness.Tree(t, map[string]string{"index.html": "front", "directory/index.html": "inside"})
	for name, size := range map[string]int{"page": 9000, "middle": 100_000, "large": auditSize} {
		harness.Write(t, filepath.Join(base, name), harness.Noise(name, size))
	}
	return base
}

func queries() []query {
	get := func(target string, fields ...string) string { return harness.Request("GET", target, fields...) }
	return []query{
		{get("/"), 200, 5, false}, {get("/page"), 200, 9000, false}, {get("/page"), 200, 9000, false},
		{get("/page", "Range: bytes=10-19"), 206, 10, false}, {get("/page", "Range: bytes=0-9,100-199"), 206, -1, false},
		{get("/middle"), 200, 100_000, false}, {get("/page", "If-None-Match: *"), 304, 0, false},
		{get("/none"), 404, -1, false}, {harness.Request("HEAD", "/page"), 200, 0, false}, {harness.Request("HEAD", "/none"), 404, 0, false},
		{get("/directory"), 301, -1, false}, {get("/", "Connection: close"), 200, 5, true},
		{harness.Request("BREW", "/"), 501, -1, false}, {"GET / HTTP/1.1\r\n\r\n", 400, -1, true},
	}
}

func (a *auditor) close() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// connect opens a connection if there is none.
func (a *auditor) connect() error {
	if a.conn != nil {
		return a.conn.SetDeadline(time.Now().Add(harness.ClientTimeout))
	}
	c, err := harness.ConnectNarrow(a.port, a.buffer)
	if err != nil {
		return err
	}
	a.conn, a.heads = c, 0
	a.conn.In = bufio.NewReader(metered{c.Conn, a.ledger})
	a.note(func() { a.conns++ })
	return nil
}

// ask sends requests at once and reads the responses, up to one that announces the end of the
// connection.
func (a *auditor) ask(pace func(n int64) error, all ...query) error {
	if err := a.connect(); err != nil {
		return err
	}
	defer func() {
		if a.conn != nil && a.conn.In.Buffered() > 0 {
			a.note(func() { a.errs = append(a.errs, errors.New("bytes after the last response")) })
		}
	}()
	text, before := "", a.heads
	for _, q := range all {
		text += q.text
	}
	got := 0
	err := a.conn.Send(text)
	for err == nil && got < len(all) {
		var r *harness.Reply
		if r, err = a.receive(all[got], pace); err != nil {
			break
		}
		if got++; r.Closes() {
			err = a.ending()
			break
		}
	}
	if heads := a.heads - before; err != nil && harness.IsCut(err) {
		// After a response that announces the end, the server has read no further request.
		a.note(func() { a.lost += int64(len(all) - heads) })
	}
	return err
}

// receive reads one response.
func (a *auditor) receive(q query, pace func(n int64) error) (*harness.Reply, error) {
	r, err := a.conn.Head()
	if err != nil {
		return nil, err
	}
	a.note(func() {
		a.begun[fmt.Sprintf("%dxx", r.Status/100)]++
		if a.heads == 0 {
			a.answered++
		}
	})
	a.heads++
	body := r.Length
	if strings.HasPrefix(q.text, "HEAD ") || r.Status == 304 {
		body = 0
	}
	if r.Status != q.status || q.length >= 0 && body != q.length || q.last && !r.Closes() {
		line, _, _ := strings.Cut(q.text, "\r\n")
		return nil, fmt.Errorf("%w: %s: status %d with %d bytes, want %d with %d", harness.ErrWrong, line, r.Status, body, q.status, q.length)
	}
	if err := pace(body); err != nil {
		return nil, err
	}
	a.note(func() { a.whole++ })
	return r, nil
}

// ending reads the end of the connection that a response announced.
func (a *auditor) ending() error {
	defer a.close()
	if b, err := a.conn.In.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: %q and error %v after the last response", harness.ErrWrong, b, err)
	}
	return nil
}

// readFast reads a body at full speed.
func (a *auditor) readFast(n int64) error {
	_, err := io.CopyN(io.Discard, a.conn.In, n)
	return err
}

// readSlowly reads a body slowly, 64 KiB every 10 ms.
func (a *auditor) readSlowly(n int64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for piece := int64(64 << 10); n > 0; n -= min(n, piece) {
		if err := a.readFast(min(n, piece)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-a.quit:
			tick.Stop()
			return a.readFast(n - min(n, piece))
		}
	}
	return nil
}

// run makes requests until the audit ends.
func (a *auditor) run(act func() error) {
	defer a.close()
	for {
		fresh := a.conn == nil
		excused := a.excused()
		if err := act(); err != nil {
			a.close()
			excused = excused || a.excused() || a.lapses && !fresh
			if !harness.IsCut(err) || !excused {
				a.note(func() { a.errs = append(a.errs, err) })
			}
		}
		select {
		case <-a.quit:
			return
		case <-time.After(harness.Between(a.rng, time.Millisecond, 8*time.Millisecond)):
		}
	}
}

func (a *auditor) randomQuery() query {
	all := queries()
	return all[a.rng.IntN(len(all))]
}

func (a *auditor) request() error { return a.ask(a.readFast, a.randomQuery()) }

func (a *auditor) requestAndClose() error {
	defer a.close()
	return a.ask(a.readFast, a.randomQuery())
}

// pipeline pipelines eight requests; the last one may end the connection.
func (a *auditor) pipeline() error {
	all := queries()
	var some []query
	for len(some) < 7 {
		if q := all[a.rng.IntN(len(all))]; !q.last {
			some = append(some, q)
		}
	}
	return a.ask(a.readFast, append(some, a.randomQuery())...)
}

func (a *auditor) download() error {
	return a.ask(a.readSlowly, query{harness.Request("GET", "/large"), 200, auditSize, false})
}

// audit runs clients of all kinds until stop is called.
type audit struct {
	*ledger
	quit    chan struct{}
	joined  sync.WaitGroup
	killing atomic.Bool // workers are being killed, or have been
}

func newAudit(port int, lapses bool) *audit {
	a := &audit{ledger: newLedger(), quit: make(chan struct{})}
	for i, act := range []func(*auditor) error{
		(*auditor).request, (*auditor).request, (*auditor).request, (*auditor).request, (*auditor).requestAndClose, (*auditor).requestAndClose,
		(*auditor).pipeline, (*auditor).pipeline, (*auditor).download, (*auditor).download,
	} {
		c := &auditor{ledger: a.ledger, port: port, lapses: lapses, quit: a.quit, excused: a.killing.Load, rng: rand.New(rand.NewPCG(uint64(i), 1))}
		if i >= 8 {
			c.buffer = auditBuffer
		}
		a.joined.Go(func() { c.run(func() error { return act(c) }) })
	}
	return a
}

// expectDeaths allows connections to end at any time from now on.
func (a *audit) expectDeaths() { a.killing.Store(true) }

// stop stops the clients after their current requests.
func (a *audit) stop() {
	select {
	case <-a.quit:
	default:
		close(a.quit)
	}
	a.joined.Wait()
}

// soFar returns the number of responses so far.
func (a *audit) soFar() (n int64) {
	a.note(func() { n = a.total() })
	return n
}
