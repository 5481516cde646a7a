package harness

import (
	"bufio"
	"crypto/tls"
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

// ErrWrong marks a response that does not fit the request. Unlike a lost
// connection, it is never excused by a killed worker.
var ErrWrong = errors.New("wrong reply")

// IsCut reports whether an error means that the connection was lost.
func IsCut(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return !errors.Is(err, ErrWrong)
		}
	}
	return false
}

// Reply is one response.
type Reply struct {
	proto  string
	Status int
	Header http.Header
	Length int64 // Content-Length, or -1
	Body   []byte
}

// Closes reports whether the response has Connection: close.
func (r *Reply) Closes() bool {
	return strings.EqualFold(r.Header.Get("Connection"), "close")
}

// Request returns the text of a request without a body. Each of fields is a
// whole header field, such as "Range: bytes=0-1".
func Request(method, target string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: phalanx.test\r\n", method, target)
	for _, field := range fields {
		b.WriteString(field + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// Client is a connection with a buffered reader.
type Client struct {
	net.Conn
	In *bufio.Reader
}

// Connect opens a connection to the port on 127.0.0.1.
func Connect(port int) (*Client, error) { return ConnectNarrow(port, 0) }

// ConnectNarrow opens a connection with a receive buffer of the given size in
// bytes, so that a slow reader soon blocks the server. Zero means the kernel's
// default.
func ConnectNarrow(port, buffer int) (*Client, error) { return ConnectFrom("", port, buffer) }

// ConnectFrom is ConnectNarrow from the given address, unless that is empty.
func ConnectFrom(address string, port, buffer int) (*Client, error) {
	dialer := net.Dialer{Timeout: ClientTimeout}
	if address != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(address)}
	}
	if buffer > 0 {
		// Before connect(): the handshake fixes the window scale.
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
	return newClient(dialer.Dial("tcp", Loopback(port)))
}

// ConnectUnix opens a connection to a unix socket.
func ConnectUnix(path string) (*Client, error) {
	return newClient(net.DialTimeout("unix", path, ClientTimeout))
}

func newClient(conn net.Conn, err error) (*Client, error) {
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: conn, In: bufio.NewReader(conn)}
	c.Renew()
	return c, nil
}

// Renew gives the next operations ClientTimeout from now.
func (c *Client) Renew() { _ = c.SetDeadline(time.Now().Add(ClientTimeout)) }

// Encrypt performs a TLS handshake and continues over TLS.
func (c *Client) Encrypt(cfg *tls.Config) error {
	secure := tls.Client(c.Conn, cfg)
	if err := secure.Handshake(); err != nil {
		return err
	}
	c.Conn, c.In = secure, bufio.NewReader(secure)
	return nil
}

// Dial opens a connection to the server, which is closed at the end of the test.
func (s *Server) Dial() *Client {
	s.T.Helper()
	return s.DialNarrow(0)
}

// DialNarrow is Dial with a receive buffer as for ConnectNarrow.
func (s *Server) DialNarrow(buffer int) *Client {
	s.T.Helper()
	c, err := ConnectNarrow(s.Port, buffer)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { c.Close() })
	return c
}

// DialAll opens n connections and sends text over each.
func (s *Server) DialAll(n int, text string) (all []*Client) {
	s.T.Helper()
	for range n {
		c := s.Dial()
		s.MustSend(c, text)
		all = append(all, c)
	}
	return all
}

// Send writes text as it is.
func (c *Client) Send(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// Head reads the head of a response and leaves its body unread. It does not use
// net/http, which hides Connection and other fields.
func (c *Client) Head() (*Reply, error) {
	text := textproto.NewReader(c.In)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	r := &Reply{Length: -1}
	if _, err := fmt.Sscanf(line, "HTTP/%s %d ", &r.proto, &r.Status); err != nil || r.proto != "1.1" {
		return nil, fmt.Errorf("status line %q: %w", line, err)
	}
	fields, err := text.ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("head of a %d: %w", r.Status, err)
	}
	r.Header = http.Header(fields)
	if length := r.Header.Get("Content-Length"); length != "" {
		if r.Length, err = strconv.ParseInt(length, 10, 64); err != nil || r.Length < 0 {
			return nil, fmt.Errorf("Content-Length %q: %w", length, err)
		}
	}
	return r, nil
}

// Reply reads a whole response to a request with the given method. A body must
// have a Content-Length: the server sends no chunks, and the connection may
// stay open.
func (c *Client) Reply(method string) (*Reply, error) {
	r, err := c.Head()
	if err != nil || method == "HEAD" || r.Status == 304 {
		return r, err
	}
	if r.Length < 0 {
		return nil, fmt.Errorf("a %d without Content-Length: %v", r.Status, r.Header)
	}
	r.Body = make([]byte, r.Length)
	if n, err := io.ReadFull(c.In, r.Body); err != nil {
		return nil, fmt.Errorf("body of a %d: %w after %d of %d bytes", r.Status, err, n, r.Length)
	}
	return r, nil
}

// Ask sends the text of one request and reads the response.
func (c *Client) Ask(text string) (*Reply, error) {
	if err := c.Send(text); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(text, " ")
	return c.Reply(method)
}

// Ended waits until the server closes the connection. It returns an error if
// the server sends a byte or does not close in time.
func (c *Client) Ended(within time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(atOnce(within))); err != nil {
		return err
	}
	b, err := c.In.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("got byte %q, want the end of the connection", b)
	case err == io.EOF, errors.Is(err, syscall.ECONNRESET):
		return nil
	default:
		return err
	}
}

// Exchange sends one request over a new connection and reads the response.
func Exchange(port int, text string) (*Reply, error) {
	c, err := Connect(port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Ask(text)
}

// MustSend writes text as it is; an error fails the test.
func (s *Server) MustSend(c *Client, text string) {
	s.T.Helper()
	if err := c.Send(text); err != nil {
		s.T.Fatal(err)
	}
}

// MustReply reads the response to the GET of each client, and fails the test
// unless it is 200 with the wanted body.
func (s *Server) MustReply(clients []*Client, want string) {
	s.T.Helper()
	for i, c := range clients {
		if r, err := c.Reply("GET"); err != nil || r.Status != 200 || string(r.Body) != want {
			s.T.Errorf("client %d of %d: %v, error %v; want 200 with %.40q", i+1, len(clients), r, err, want)
		}
	}
}

// MustAsk sends a request and reads the response; an error fails the test.
func (s *Server) MustAsk(c *Client, text string) *Reply {
	s.T.Helper()
	r, err := c.Ask(text)
	if err != nil {
		line, _, _ := strings.Cut(text, "\r\n")
		s.T.Fatalf("%.60s: %v", line, err)
	}
	return r
}

// MustGet fetches a path over a new connection.
func (s *Server) MustGet(path string) *Reply {
	s.T.Helper()
	return s.MustAsk(s.Dial(), Request("GET", path, "Connection: close"))
}

// MustEnd fails the test unless the server closes the connection in time. who
// describes the client in the message.
func (s *Server) MustEnd(c *Client, within time.Duration, who string) {
	s.T.Helper()
	if err := c.Ended(within); err != nil {
		s.T.Errorf("%s: want the end of the connection, got %v", who, err)
	}
}

// MustPersist fails the test unless a connection serves a request and stays open.
func (s *Server) MustPersist(c *Client) {
	s.T.Helper()
	c.Renew()
	if r := s.MustAsk(c, Request("GET", "/")); r.Status != 200 || r.Closes() {
		s.T.Errorf("%s: status %d, closes %v; want 200 on a connection that stays open", c.LocalAddr(), r.Status, r.Closes())
	}
}

// MustServe fails the test unless a GET over a new connection returns 200 and
// the wanted body.
func (s *Server) MustServe(path, want string) {
	s.T.Helper()
	r := s.MustGet(path)
	if r.Status != 200 || string(r.Body) != want {
		s.T.Errorf("GET %s: %d with %d bytes %.40q, want 200 with %.40q", path, r.Status, len(r.Body), r.Body, want)
	}
}
