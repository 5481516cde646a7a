package servetest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// Host is the name for which servers have a certificate.
const Host = "example.org"

// Credentials are those of a server, with settings that may be changed, and the
// configuration of a client that trusts it.
func Credentials(t testing.TB, change func(*tlsconn.Options)) (serve.Credentials, *tls.Config) {
	t.Helper()
	src, err := certificate.SelfSigned([]string{Host}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	set, err := certificate.Parse([]certificate.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	o := tlsconn.Options{Certificates: set, TicketKeys: [][32]byte{{1}}, Protocols: []string{tlsconn.ProtocolHTTP2, tlsconn.ProtocolHTTP1}, Time: time.Now}
	if change != nil {
		change(&o)
	}
	cfg, err := tlsconn.NewConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(src.Chain)
	return serve.Credentials{TLS: cfg}, &tls.Config{ServerName: Host, RootCAs: pool, NextProtos: []string{"http/1.1"}}
}

// StartSecure serves the directory on a socket for TLS, with the credentials.
func StartSecure(t testing.TB, dir string, run Run, credentials serve.Credentials, change func(*serve.Config)) *Server {
	t.Helper()
	fd, addr := Listen(t)
	s := At(t, addr)
	s.Order(credentials)
	s.ServeAll(dir, []serve.Listener{{FD: fd, Secure: true}}, run, change)
	return s
}

// DialTLS connects to the server and performs a TLS handshake.
func (s *Server) DialTLS(client *tls.Config) *tls.Conn {
	s.t.Helper()
	return Handshake(s.t, s.Dial(), client)
}

// Hello returns a client's ClientHello record.
func Hello(t testing.TB, client *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		tls.Client(theirs, client).Handshake() // ends with the pipe
	}()
	p := make([]byte, 16<<10)
	ours.SetDeadline(time.Now().Add(time.Minute))
	n, err := ours.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return p[:n]
}

// Handshake performs a TLS handshake on a connection.
func Handshake(t testing.TB, c net.Conn, client *tls.Config) *tls.Conn {
	t.Helper()
	secure := tls.Client(c, client)
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secure
}
