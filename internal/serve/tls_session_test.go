package serve_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
	"phalanx/internal/tlsconn"
)

// drop is a connection that writes byte by byte.
type drop struct{ net.Conn }

func (d drop) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// A handshake and requests that arrive byte by byte are served.
func TestSecureByteByByte(t *testing.T) {
	dir := withFile(t, 100)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		client.CurvePreferences = []tls.CurveID{tls.X25519} // for a short ClientHello
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		defer s.Stop()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := client.Clone()
			client.MaxVersion = version
			raw := s.Dial()
			raw.SetNoDelay(true)
			c := servetest.Handshake(t, drop{raw}, client)
			r := bufio.NewReader(c)
			for range 3 {
				if status, body := askTLS(t, c, r, "/f"); status != 200 || len(body) != 100 {
					t.Errorf("%s: status %d, %d bytes; want 200 with 100", tls.VersionName(version), status, len(body))
				}
			}
			c.Close()
		}
	})
}

// A session is resumed with a ticket, also under other credentials with the same ticket keys, and counted.
func TestResumption(t *testing.T) {
	dir := withFile(t, 100)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		row := new(scoreboard.Row)
		s := servetest.StartSecure(t, dir, run, credentials, func(cfg *serve.Config) { cfg.Row = row })
		defer s.Stop()
		for i, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := client.Clone()
			client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			for n := range 3 {
				c := s.DialTLS(client)
				askTLS(t, c, bufio.NewReader(c), "/f") // to receive the tickets
				if got := c.ConnectionState().DidResume; got != (n > 0) {
					t.Errorf("%s: connection %d: resumed %v", tls.VersionName(version), n, got)
				}
				c.Close()
			}
			if n := row.Handshakes[i].Load(); n != 3 {
				t.Errorf("%s: %d handshakes counted, want 3", tls.VersionName(version), n)
			}
			if n := row.Resumed.Load(); n != uint64(2+2*i) {
				t.Errorf("%s: %d resumptions counted, want %d", tls.VersionName(version), n, 2+2*i)
			}
		}
	})
}

// New credentials apply to new connections; open connections keep theirs, but have the new challenges, because a
// proxy may use one connection for all requests.
func TestNewCredentials(t *testing.T) {
	dir := withFile(t, 100)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		defer s.Stop()
		old := s.DialTLS(client)
		r := bufio.NewReader(old)
		for range 5 {
			next, client := servetest.Credentials(t, nil)
			next.Challenges = map[string]string{"token": "key"}
			s.Order(next)
			systest.Await(t, "a connection with the new certificate", func() bool {
				c := tls.Client(s.Dial(), client)
				if c.HandshakeContext(t.Context()) != nil {
					return false
				}
				defer c.Close()
				if status, body := askTLS(t, c, bufio.NewReader(c), "/.well-known/acme-challenge/token"); status != 200 || string(body) != "key" {
					t.Errorf("ACME challenge: status %d, %q; want 200 with the key", status, body)
				}
				return true
			})
			if status, _ := askTLS(t, old, r, "/f"); status != 200 {
				t.Errorf("the old connection: status %d, want 200", status)
			}
			if status, body := askTLS(t, old, r, "/.well-known/acme-challenge/token"); status != 200 || string(body) != "key" {
				t.Errorf("ACME challenge on the old connection: status %d, %q; want 200 with the key", status, body)
			}
		}
		old.Close()
	})
}

// Client certificates are requested and verified.
func TestClientCertificate(t *testing.T) {
	dir := withFile(t, 100)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		chain, own := clientCertificate(t)
		credentials, client := servetest.Credentials(t, func(o *tlsconn.Options) { o.ClientCA = chain })
		client.Certificates = []tls.Certificate{own}
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		defer s.Stop()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client := client.Clone()
			client.MaxVersion = version
			c := s.DialTLS(client)
			if status, _ := askTLS(t, c, bufio.NewReader(c), "/f"); status != 200 {
				t.Errorf("%s: status %d, want 200", tls.VersionName(version), status)
			}
			c.Close()
		}
	})
}

// A drain closes TLS connections like others, and with close_notify: idle ones after a grace period, others
// after their response. It also waits for handshakes under way.
func TestSecureDrain(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20 // more than the sockets take
	servetest.Sparse(t, dir+"/f", size)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		idle, busy, half := s.DialTLS(client), s.DialTLS(client), s.Dial()
		p := servetest.Hello(t, client)
		half.Write(p[:len(p)/2])
		res, r := servetest.Begin(t, busy, "/f", 1<<20)
		servetest.Send(t, busy, servetest.Get("/f", "Range: bytes=0-9"))
		// All three are known to the engine: the third came last.
		seen := make(chan []serve.Seen, 1)
		systest.Await(t, "three connections", func() bool {
			s.Order(serve.List{Reply: seen})
			return len(<-seen) == 3
		})
		s.Order(serve.Drain{})
		if n, err := idle.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the idle connection: %d bytes, error %v; want EOF", n, err)
		}
		idle.Close()
		if n, err := io.Copy(io.Discard, res.Body); n != size-1<<20 || err != nil {
			t.Errorf("the download: %d bytes, error %v", n, err)
		}
		res, _ = servetest.Receive(t, r)
		if !res.Close {
			t.Error("the last response lacks Connection: close")
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the last response: %d bytes, error %v; want EOF", n, err)
		}
		busy.Close()
		half.Close()
		s.Wait()
	})
}

// At -vv a handshake is logged with its version, cipher suite, server name and protocol.
func TestSecureIsLogged(t *testing.T) {
	dir := withFile(t, 100)
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		credentials, client := servetest.Credentials(t, nil)
		change, lines := logAt(t, 2)
		s := servetest.StartSecure(t, dir, run, credentials, change)
		c := s.DialTLS(client)
		askTLS(t, c, bufio.NewReader(c), "/f", "Connection: close")
		c.Close()
		s.Stop()
		text := lines()
		for _, want := range []string{`"message":"TLS handshake"`, `"version":"TLS 1.3"`, `"cipher":"TLS_AES_128_GCM_SHA256"`, `"sni":"example.org"`, `"resumed":false`, `"protocol":"http/1.1"`} {
			if !strings.Contains(text, want) {
				t.Errorf("the log lacks %s:\n%s", want, text)
			}
		}
	})
}

// clientCertificate returns a self-issued client certificate, as PEM and as a client uses it.
func clientCertificate(t *testing.T) (chain []byte, own tls.Certificate) {
	t.Helper()
	src, err := certificate.SelfSign("client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err == nil {
		own, err = tls.X509KeyPair(src.Chain, src.Key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return src.Chain, own
}
