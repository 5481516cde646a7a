package rescue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// crowd is a group of clients of every kind. They compare every byte of every response and accept
// no failure.
type crowd struct {
	t     *testing.T
	port  int
	https int    // port for HTTPS; 0: the clients speak plain HTTP
	proxy string // address from which the clients connect, with a PROXY header; empty: from any, without
	pages []page
	large page
	quit  chan struct{}
	wg    sync.WaitGroup

	mu         sync.Mutex
	served     map[string]int // responses by kind of client
	announced  int            // connections that the server closed as announced
	failures   int
	handshakes int // handshakes that ended; see excuses
	sealing    int // other TLS connections that ended; see excuses
}

// page is a file and the ETag of its responses.
type page struct {
	path string
	body []byte
	etag string
}

const (
	narrow    = 32 << 10         // bytes of a receive buffer that fills soon
	replyTime = 60 * time.Second // more than a slot can be without a worker
	mostShown = 10
)

// content returns the files that clients request: small ones that are sent together with their
// head, and a large one that is sent from its descriptor.
func content() (pages []page, large page) {
	for i, size := range []int{0, 5, 700, 9_000, 40_000, 300_000} {
		path := fmt.Sprintf("page%d.bin", i)
		pages = append(pages, page{path: "/" + path, body: harness.Noise(path, size)})
	}
	return pages, page{path: "/large.bin", body: harness.Noise("large", 24<<20)}
}

func tree(t *testing.T) string {
	files := map[string]string{"index.html": "front"}
	pages, large := content()
	for _, p := range append(pages, large) {
		files[strings.TrimPrefix(p.path, "/")] = string(p.body)
	}
	return harness.Tree(t, files)
}

// newCrowd starts the given number of clients of each kind over plain HTTP.
func newCrowd(t *testing.T, port int, each int) *crowd { return newCrowdAt(t, port, 0, "", each) }

// newCrowdAt is newCrowd over TLS at another port, unless that is 0, and behind a proxy, unless its address is empty.
func newCrowdAt(t *testing.T, port, https int, proxy string, each int) *crowd {
	c := &crowd{t: t, port: port, https: https, proxy: proxy, quit: make(chan struct{}), served: map[string]int{}}
	c.pages, c.large = content()
	for i := range c.pages {
		r, err := harness.Exchange(port, harness.Request("HEAD", c.pages[i].path, "Connection: close"))
		if err != nil {
			t.Fatal(err)
		}
		c.pages[i].etag = r.Header.Get("ETag")
	}
	kinds := []struct {
		name string
		live func(*client) error
	}{
		{"kept", (*client).ask}, {"kept", (*client).ask}, {"closing", (*client).askAndClose}, {"pipelined", (*client).pipeline},
		{"fragmented", (*client).fragment}, {"download", (*client).download},
	}
	for _, k := range kinds {
		for i := range each {
			seed := uint64(time.Now().UnixNano())
			one := &client{crowd: c, kind: k.name, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
			c.wg.Go(func() { one.repeat(k.live) })
		}
	}
	t.Cleanup(c.stop)
	return c
}

// stop stops all clients.
func (c *crowd) stop() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.wg.Wait()
}

// report stops all clients and logs what was served.
func (c *crowd) report() {
	c.t.Helper()
	c.stop()
	total := 0
	for _, n := range c.served {
		total += n
	}
	c.t.Logf("%d responses: %v; %d connections ended as announced; %d failures", total, c.served, c.announced, c.failures)
	for _, kind := range []string{"kept", "closing", "pipelined", "fragmented", "download"} {
		if c.served[kind] == 0 {
			c.t.Errorf("no response for clients of kind %s", kind)
		}
	}
}

// client is one of the crowd. It keeps its connection as long as the server does.
type client struct {
	*crowd
	kind  string
	rng   *rand.Rand
	conn  *harness.Client
	doing string
}

func (c *client) repeat(act func(*client) error) {
	defer c.close()
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		if err := act(c); err != nil {
			c.failed(err)
		}
	}
}

func (c *client) failed(err error) {
	from := "no port"
	if c.conn != nil {
		from = c.conn.LocalAddr().String()
	}
	c.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.excuses(err) {
		return
	}
	if c.failures++; c.failures <= mostShown {
		c.t.Errorf("%s %s, %s, %s: %v", time.Now().Format("15:04:05.000"), c.kind, from, c.doing, err)
	}
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// connect opens a connection if there is none.
func (c *client) connect(buffer int) (err error) {
	if c.conn == nil {
		c.doing = "connecting"
		if c.conn, err = harness.ConnectFrom(c.proxy, cmp.Or(c.https, c.port), buffer); err != nil {
			return err
		}
		if c.proxy != "" {
			if err := c.conn.Send("PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"); err != nil {
				return err
			}
		}
		if c.https != 0 {
			if err := c.encrypt(); err != nil {
				return err
			}
		}
	}
	return c.conn.SetDeadline(time.Now().Add(replyTime))
}

// query is a request and its expected response.
type query struct {
	method, text string
	status       int
	length       int64 // -1: not compared
	body         []byte
}

// query returns a random request for a page.
func (c *client) query(fields ...string) query {
	p := c.pages[c.rng.IntN(len(c.pages))]
	q := query{method: "GET", status: 200, length: int64(len(p.body)), body: p.body}
	switch kind := c.rng.IntN(10); {
	case kind == 0:
		q.method, q.body = "HEAD", nil
	case kind == 1:
		fields = append(fields, "If-None-Match: "+p.etag)
		q.status, q.length, q.body = 304, -1, nil
	case kind == 2 && len(p.body) > 0:
		from := c.rng.IntN(len(p.body))
		to := from + c.rng.IntN(len(p.body)-from)
		fields = append(fields, fmt.Sprintf("Range: bytes=%d-%d", from, to))
		q.status, q.body = 206, p.body[from:to+1]
		q.length = int64(len(q.body))
	}
	q.text = harness.Request(q.method, p.path, fields...)
	return q
}

// receive reads the response and compares it with the expected one.
func (c *client) receive(q query) error {
	r, err := c.conn.Reply(q.method)
	if err != nil {
		return err
	}
	if r.Status != q.status || q.length >= 0 && r.Length != q.length || !bytes.Equal(r.Body, q.body) {
		return fmt.Errorf("%w: status %d, Content-Length %d, %d bytes; want %d with %d bytes", harness.ErrWrong, r.Status, r.Length, len(r.Body), q.status, q.length)
	}
	c.mu.Lock()
	c.served[c.kind]++
	c.mu.Unlock()
	if !r.Closes() {
		return nil
	}
	c.doing = "waiting for the announced end"
	if b, err := c.conn.In.ReadByte(); err == nil {
		return fmt.Errorf("%w: byte %q after the last response", harness.ErrWrong, b)
	} else if err != io.EOF {
		return err
	}
	if c.kind != "closing" {
		c.mu.Lock()
		c.announced++
		c.mu.Unlock()
	}
	c.close()
	return nil
}

// quiet checks that nothing follows the last response.
func (c *client) quiet() error {
	if c.conn != nil && c.conn.In.Buffered() > 0 {
		return fmt.Errorf("%w: %d extra bytes", harness.ErrWrong, c.conn.In.Buffered())
	}
	return nil
}

func (c *client) send(q query) error {
	c.doing, _, _ = strings.Cut(q.text, "\r\n")
	return c.conn.Send(q.text)
}

func (c *client) ask() error {
	if err := c.connect(0); err != nil {
		return err
	}
	q := c.query()
	return errors.Join(c.send(q), c.receive(q), c.quiet())
}

func (c *client) askAndClose() error {
	if err := c.connect(0); err != nil {
		return err
	}
	q := c.query("Connection: close")
	if err := errors.Join(c.send(q), c.receive(q)); err != nil {
		return err
	}
	if c.conn != nil {
		return fmt.Errorf("%w: the response lacks Connection: close", harness.ErrWrong)
	}
	return nil
}

// fragment sends a request byte by byte.
func (c *client) fragment() error {
	if err := c.connect(0); err != nil {
		return err
	}
	q := c.query()
	c.doing = "sending byte by byte " + q.text
	for i := range len(q.text) {
		if err := c.conn.Send(q.text[i : i+1]); err != nil {
			return err
		}
		if c.rng.IntN(8) == 0 {
			<-time.After(time.Millisecond)
		}
	}
	return errors.Join(c.receive(q), c.quiet())
}

// pipeline sends many requests before it reads: the server has to wait with responses that the
// socket does not take and with requests that it has not answered.
func (c *client) pipeline() error {
	if err := c.connect(narrow); err != nil {
		return err
	}
	var all []query
	var text strings.Builder
	for range 50 + c.rng.IntN(300) {
		q := c.query()
		all = append(all, q)
		text.WriteString(q.text)
	}
	c.doing = fmt.Sprintf("pipelining %d requests", len(all))
	conn, sent := c.conn, make(chan error, 1)
	go func() { sent <- conn.Send(text.String()) }()
	<-time.After(harness.Between(c.rng, time.Millisecond, 100*time.Millisecond))
	for i, q := range all {
		c.doing = fmt.Sprintf("reading response %d of %d", i+1, len(all))
		if err := c.receive(q); err != nil {
			conn.Close()
			<-sent
			return err
		}
		if c.conn == nil { // the announced end: the server drops the remaining requests
			<-sent
			return nil
		}
	}
	return errors.Join(<-sent, c.quiet())
}

// download fetches the large file through a small receive buffer.
func (c *client) download() error {
	if err := c.connect(narrow << c.rng.IntN(4)); err != nil {
		return err
	}
	q := c.largeQuery()
	return errors.Join(c.send(q), c.receive(q), c.quiet())
}

// largeQuery returns the request for the large file.
func (c *crowd) largeQuery() query {
	return query{method: "GET", text: harness.Request("GET", c.large.path), status: 200, length: int64(len(c.large.body)), body: c.large.body}
}

// begun waits for the first byte of a response.
func (c *client) begun() error {
	_, err := c.conn.In.Peek(1)
	return err
}
