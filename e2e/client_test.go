package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds everything that a client waits for.
const patience = 20 * time.Second

// reply is one response.
type reply struct {
	proto  string
	status int
	header http.Header
	length int64 // Content-Length, or -1
	body   []byte
}

// closes reports whether the server has announced the end of the connection.
func (r *reply) closes() bool {
	return strings.EqualFold(r.header.Get("Connection"), "close")
}

// request is the text of a request without a body.
func request(method, target string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: phalanx.test\r\n", method, target)
	for _, field := range fields {
		b.WriteString(field + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// client is a connection and what has been read ahead from it.
type client struct {
	net.Conn
	in *bufio.Reader
}

// connect opens a connection to the port on 127.0.0.1.
func connect(port int) (*client, error) { return connectNarrow(port, 0) }

// connectNarrow opens a connection whose receive buffer is limited, so that
// the server feels when the client reads slowly. Zero leaves the buffer to
// the kernel.
func connectNarrow(port, buffer int) (*client, error) {
	dialer := net.Dialer{Timeout: patience}
	if buffer > 0 {
		// The window is agreed on at the handshake: before connect().
		dialer.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			})
			if err != nil {
				return err
			}
			return failed
		}
	}
	conn, err := dialer.Dial("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		conn.Close()
		return nil, err
	}
	return &client{Conn: conn, in: bufio.NewReader(conn)}, nil
}

// dial is connect for a test, which closes the connection at its end.
func (s *server) dial() *client {
	s.t.Helper()
	c, err := connect(s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// send writes text as it is.
func (c *client) send(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// head reads the head of a response and leaves its body. net/http would
// hide Connection and more, so it is read by hand.
func (c *client) head() (*reply, error) {
	text := textproto.NewReader(c.in)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	r := &reply{length: -1}
	if _, err := fmt.Sscanf(line, "HTTP/%s %d ", &r.proto, &r.status); err != nil || r.proto != "1.1" {
		return nil, fmt.Errorf("status line %q: %w", line, err)
	}
	fields, err := text.ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("head of a %d: %w", r.status, err)
	}
	r.header = http.Header(fields)
	if length := r.header.Get("Content-Length"); length != "" {
		if r.length, err = strconv.ParseInt(length, 10, 64); err != nil || r.length < 0 {
			return nil, fmt.Errorf("Content-Length %q: %w", length, err)
		}
	}
	return r, nil
}

// reply reads a whole response to a method. Only its length can end its
// body: the server sends no chunks, and a connection may stay open.
func (c *client) reply(method string) (*reply, error) {
	r, err := c.head()
	if err != nil || method == "HEAD" || r.status == 304 {
		return r, err
	}
	if r.length < 0 {
		return nil, fmt.Errorf("a %d without Content-Length: %v", r.status, r.header)
	}
	r.body = make([]byte, r.length)
	if n, err := io.ReadFull(c.in, r.body); err != nil {
		return nil, fmt.Errorf("body of a %d: %w after %d of %d bytes", r.status, err, n, r.length)
	}
	return r, nil
}

// ask sends the text of one request and reads the response.
func (c *client) ask(text string) (*reply, error) {
	if err := c.send(text); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(text, " ")
	return c.reply(method)
}

// ended waits until the server ends the connection, and reports an error
// when something else comes or nothing within the time.
func (c *client) ended(within time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	b, err := c.in.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("the byte %q instead of the end", b)
	case err == io.EOF, errors.Is(err, syscall.ECONNRESET):
		return nil
	default:
		return err
	}
}

// exchange opens a connection for one request.
func exchange(port int, text string) (*reply, error) {
	c, err := connect(port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ask(text)
}

// mustAsk is ask for a client that a test depends on.
func (s *server) mustAsk(c *client, text string) *reply {
	s.t.Helper()
	r, err := c.ask(text)
	if err != nil {
		line, _, _ := strings.Cut(text, "\r\n")
		s.t.Fatalf("%.60s: %v", line, err)
	}
	return r
}

// mustGet fetches a path over a connection of its own.
func (s *server) mustGet(path string) *reply {
	s.t.Helper()
	return s.mustAsk(s.dial(), request("GET", path, "Connection: close"))
}

// mustEnd expects the server to end the connection in time.
func (s *server) mustEnd(c *client, within time.Duration, who string) {
	s.t.Helper()
	if err := c.ended(within); err != nil {
		s.t.Errorf("%s: want the end of the connection, got %v", who, err)
	}
}

// mustServe expects a path to be served over a new connection.
func (s *server) mustServe(path, want string) {
	s.t.Helper()
	r := s.mustGet(path)
	if r.status != 200 || string(r.body) != want {
		s.t.Errorf("GET %s: %d with %d bytes %.40q, want 200 with %.40q", path, r.status, len(r.body), r.body, want)
	}
}

// download is a large response under way.
type download struct {
	*client
	length int64 // Content-Length
	taken  int64 // bytes of the body read so far
}

// begin asks for a file, limits the receive buffer and reads the head.
func (s *server) begin(path string, buffer int) *download {
	s.t.Helper()
	c, err := connectNarrow(s.port, buffer)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.send(request("GET", path)); err != nil {
		s.t.Fatal(err)
	}
	r, err := c.head()
	if err != nil {
		s.t.Fatal(err)
	}
	if r.status != 200 || r.length < 0 {
		s.t.Fatalf("GET %s: %d with Content-Length %d", path, r.status, r.length)
	}
	return &download{client: c, length: r.length}
}

// take reads n bytes of the body.
func (d *download) take(n int64) error {
	got, err := io.CopyN(io.Discard, d.in, n)
	d.taken += got
	return err
}

// trickle reads n bytes every 10 ms for as long as told: a slow client.
func (d *download) trickle(n int64, during time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(during); time.Now().Before(end); <-tick.C {
		if err := d.take(n); err != nil {
			return err
		}
	}
	return nil
}

// rest reads until the connection ends or the body is complete.
func (d *download) rest() error {
	buf := make([]byte, 1<<20)
	for d.taken < d.length {
		n, err := d.in.Read(buf[:min(int64(len(buf)), d.length-d.taken)])
		d.taken += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// mustComplete reads the rest and expects exactly the announced length.
func (s *server) mustComplete(d *download) {
	s.t.Helper()
	if err := d.rest(); err != nil || d.taken != d.length {
		s.t.Errorf("the download ended after %d of %d bytes: %v", d.taken, d.length, err)
	}
}
