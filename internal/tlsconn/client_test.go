package tlsconn

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"phalanx/internal/certificate"
)

var calendar = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func today() time.Time { return calendar }

// selfSigned returns a certificate, and a pool that trusts it.
func selfSigned(t testing.TB, hosts ...string) (certificate.Source, *x509.CertPool) {
	t.Helper()
	src, err := certificate.SelfSigned(hosts, calendar, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(src.Chain)
	return src, pool
}

// setup has a server's configuration and one for clients that trust the server.
func setup(t testing.TB, change func(*Options)) (*Config, *tls.Config) {
	t.Helper()
	src, pool := selfSigned(t, "example.org")
	set, err := certificate.Parse([]certificate.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Certificates: set, TicketKeys: [][32]byte{{1, 2, 3}}, Protocols: []string{"http/1.1"}, Time: today}
	if change != nil {
		change(&o)
	}
	cfg, err := NewConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, &tls.Config{ServerName: "example.org", RootCAs: pool, NextProtos: []string{"http/1.1"}, Time: today}
}

// server drives a Conn as a loop does, for a client in the same goroutine: the client's end is a
// net.Conn whose Read lets the server continue.
type server struct {
	conn   *Conn
	turn   Turn
	now    time.Duration
	budget int                             // of each turn
	chunk  func(off int) int               // how many bytes come at once; nil: all there are
	handle func(s *server, request string) // a whole request came
	moved  func(c *Conn) *Conn             // after each step of an open connection
	before func(c *Conn)                   // before each Receive

	off      int
	in, out  []byte // on their way to the server and to the client
	request  []byte
	steps    []Step // but Read
	yielding bool
	eof      bool // the client sees the end
	slow     bool // the client gets one byte at a time
}

func newServer(cfg *Config) *server {
	return &server{
		conn: New(cfg, 0), budget: 8,
		turn:   Turn{Plain: make([]byte, 0, PlainSize), Out: make([]byte, 0, 64<<10)},
		handle: func(s *server, request string) { s.reply([]byte("you said " + request)) },
	}
}

func (s *server) reply(p []byte) { s.out = s.conn.Seal(s.out, p, s.now) }

// run lets the server receive what it was sent. Its receive buffer is overwritten afterwards.
func (s *server) run() {
	for (len(s.in) > 0 || s.yielding) && !s.eof {
		var p, sent []byte
		if !s.yielding {
			n := len(s.in)
			if s.chunk != nil {
				n = min(n, max(1, s.chunk(s.off)))
			}
			p, sent = bytes.Clone(s.in[:n]), s.in[:n]
			s.in, s.off = s.in[n:], s.off+n
			if s.before != nil {
				s.before(s.conn)
			}
			s.conn.Receive(p)
		}
		s.drive()
		if !bytes.Equal(p, sent) {
			panic("received bytes were changed")
		}
		s.conn.Hold()
		for i := range p {
			p[i] = 0xee
		}
	}
}

func (s *server) drive() {
	s.yielding = false
	s.turn.Budget = s.budget
	for {
		s.turn.Plain, s.turn.Out = s.turn.Plain[:0], s.turn.Out[:0]
		step := s.conn.Next(&s.turn)
		s.out = append(s.out, s.turn.Out...)
		s.take(s.turn.Plain)
		if step != Read {
			s.steps = append(s.steps, step)
		}
		if s.moved != nil && s.conn.Movable() {
			s.conn = s.moved(s.conn)
		}
		switch step {
		case Read:
			return
		case Yield:
			s.yielding = true
			return
		case Closed:
			s.out = s.conn.CloseNotify(s.out)
			s.eof = true
			return
		case Failed:
			s.eof = true
			return
		}
	}
}

func (s *server) take(plain []byte) {
	s.request = append(s.request, plain...)
	for {
		head, rest, ok := bytes.Cut(s.request, []byte("\n"))
		if !ok {
			return
		}
		s.request = bytes.Clone(rest)
		s.handle(s, string(head))
	}
}

// end closes the server's side as a loop does when the client has disconnected.
func (s *server) end() Reason { return s.conn.Close() }

func (s *server) Read(p []byte) (int, error) {
	if len(s.out) == 0 {
		s.run()
	}
	if len(s.out) == 0 {
		return 0, io.EOF
	}
	if s.slow {
		p = p[:1]
	}
	n := copy(p, s.out)
	s.out = s.out[:copy(s.out, s.out[n:])]
	return n, nil
}

func (s *server) Write(p []byte) (int, error) {
	s.in = append(s.in, p...)
	return len(p), nil
}

func (s *server) Close() error                     { return nil }
func (s *server) LocalAddr() net.Addr              { return nil }
func (s *server) RemoteAddr() net.Addr             { return nil }
func (s *server) SetDeadline(time.Time) error      { return nil }
func (s *server) SetReadDeadline(time.Time) error  { return nil }
func (s *server) SetWriteDeadline(time.Time) error { return nil }

// ask sends a request and reads the whole response.
func ask(t testing.TB, c *tls.Conn, request string, response string) {
	t.Helper()
	if _, err := io.WriteString(c, request+"\n"); err != nil {
		t.Fatalf("send %q: %v", request, err)
	}
	got := make([]byte, len(response))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("response to %q: %v", request, err)
	}
	if string(got) != response {
		t.Fatalf("response to %q is %.100q", request, got)
	}
}

// talk performs a handshake, sends two requests, and closes with close_notify.
func talk(t testing.TB, s *server, cfg *tls.Config) tls.ConnectionState {
	t.Helper()
	c := tls.Client(s, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatalf("handshake: %v (server: %v)", err, s.conn.Err())
	}
	ask(t, c, "one", "you said one")
	ask(t, c, "two", "you said two")
	c.CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the close: %v", err)
	}
	if reason := s.end(); reason != ReasonNone {
		t.Fatalf("closed with %v", reason)
	}
	return c.ConnectionState()
}

// fails performs a handshake and reads until there is an error, and returns those of both sides.
func fails(t testing.TB, s *server, cfg *tls.Config) (_ *Error, client error) {
	t.Helper()
	c := tls.Client(s, cfg)
	if client = c.Handshake(); client == nil {
		io.WriteString(c, "one\n")
		_, client = c.Read(make([]byte, 1))
	}
	s.run()
	var err *Error
	if !errors.As(s.conn.Err(), &err) {
		t.Fatalf("the server has no error; the client: %v", client)
	}
	if got := s.end(); got != err.Reason {
		t.Errorf("closed with %v", got)
	}
	return err, client
}

// clientCertificate returns a certificate authority, in PEM, and a client certificate that it issued.
func clientCertificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, NotBefore: calendar.Add(-time.Hour), NotAfter: calendar.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, rootKey := sign(t, template, template, nil)
	authority, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	leaf, key := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, NotBefore: calendar.Add(-time.Hour), NotAfter: calendar.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, rootKey)
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
}

// sign issues a certificate with a new key. Without a parent's key it is self-signed.
func sign(t testing.TB, template, parent *x509.Certificate, parentKey crypto.Signer) ([]byte, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// rsaSigned is selfSigned with an RSA key.
func rsaSigned(t testing.TB, host string) certificate.Source {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{DNSNames: []string{host}, NotBefore: calendar, NotAfter: calendar.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate.Source{
		Name: "rsa", Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}
