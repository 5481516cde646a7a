package serve_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/accesslog"
	"phalanx/internal/certificate"
	"phalanx/internal/logging"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
	"phalanx/internal/tlsconn"
)

// all reads to the end of a connection; a reset is an end too.
func all(c net.Conn) string {
	p, _ := io.ReadAll(c)
	return string(p)
}

// handshakeError returns the client's error from a handshake that has to fail.
func handshakeError(c net.Conn, client *tls.Config) string {
	secure := tls.Client(c, client)
	err := secure.Handshake()
	if err == nil { // in TLS 1.3 the client sees the failure later
		_, err = secure.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no failure"
	}
	return err.Error()
}

// Clients whose handshake fails, or who break TLS later: the reason that is counted, what the client sees,
// and the line at -vv.
var unsecured = []struct {
	name   string
	reason tlsconn.Reason
	client func(t *testing.T, c *net.TCPConn, client *tls.Config) string
	sees   string // is part of what the client receives
	logged string
}{
	{"plain HTTP", tlsconn.ReasonPlainHTTP, func(t *testing.T, c *net.TCPConn, _ *tls.Config) string {
		servetest.Send(t, c, servetest.Get("/"))
		return all(c)
	}, "<p>This port is for HTTPS: ", "plain HTTP on a TLS port"},
	{"neither TLS nor HTTP", tlsconn.ReasonNotTLS, func(t *testing.T, c *net.TCPConn, _ *tls.Config) string {
		servetest.Send(t, c, "\x00\x01\x02\x03")
		return all(c)
	}, "", "neither TLS nor HTTP"},
	{"half a hello, then the end", tlsconn.ReasonTruncated, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		p := servetest.Hello(t, client)
		servetest.Send(t, c, string(p[:len(p)/2]))
		c.CloseWrite()
		return all(c)
	}, "", "the client disconnected during the handshake"},
	{"a hello of 64 KiB", tlsconn.ReasonTooLarge, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		// Many records of a ClientHello that announces 65,535 bytes.
		p := "\x16\x03\x01\x40\x00" + "\x01\x00\xff\xff" + strings.Repeat("a", 16<<10-4)
		io.WriteString(c, p)
		return all(c)
	}, "", "more than 64 KiB in the handshake"},
	{"TLS 1.1", tlsconn.ReasonVersion, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		return handshakeError(c, client)
	}, "protocol version not supported", "no common version"},
	{"no certificate of the client's", tlsconn.ReasonUnauthorized, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		return handshakeError(c, client)
	}, "certificate required", "client certificate missing or not trusted"},
	{"a client that trusts nobody", tlsconn.ReasonUntrusted, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		client.RootCAs = x509.NewCertPool()
		return handshakeError(c, client)
	}, "certificate signed by unknown authority", "the client does not trust the certificate"},
	{"a damaged record", tlsconn.ReasonBadRecord, func(t *testing.T, c *net.TCPConn, client *tls.Config) string {
		r := &recorder{Conn: c}
		secure := servetest.Handshake(t, r, client)
		r.recording = true
		servetest.Send(t, secure, servetest.Get("/"))
		r.kept[len(r.kept)-1] ^= 1
		c.Write(r.kept)
		_, err := io.Copy(io.Discard, secure)
		return err.Error()
	}, "bad record MAC", "a record was damaged"},
}

// A TLS failure is counted by its reason, and logged once at -vv.
func TestUnsecured(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for _, tt := range unsecured {
			t.Run(tt.name, func(t *testing.T) {
				credentials, client := servetest.Credentials(t, func(o *tlsconn.Options) {
					if tt.reason == tlsconn.ReasonUnauthorized {
						src, err := certificate.SelfSigned([]string{"client"}, time.Now(), time.Hour)
						if err != nil {
							t.Fatal(err)
						}
						o.ClientCA = src.Chain
					}
				})
				row := new(scoreboard.Row)
				change, lines := logAt(t, 2)
				s := servetest.StartSecure(t, t.TempDir(), run, credentials, func(cfg *serve.Config) {
					cfg.Row = row
					change(cfg)
				})
				c := s.Dial()
				if got := tt.client(t, c, client); !strings.Contains(got, tt.sees) || tt.sees == "" && got != "" {
					t.Errorf("the client received %q, want %q", got, tt.sees)
				}
				c.Close()
				s.Stop()
				for i := range row.Unsecured {
					want := uint64(0)
					if i == int(tt.reason) {
						want = 1
					}
					if n := row.Unsecured[i].Load(); n != want {
						t.Errorf("reason %[2]q is counted %[1]d times, want %[3]d", n, tlsconn.Reason(i), want)
					}
				}
				if text := lines(); strings.Count(text, "TLS failed") != 1 || !strings.Contains(text, tt.logged) {
					t.Errorf("the log has\n%s\nwant one line with %q", text, tt.logged)
				}
			})
		}
	})
}

// logAt makes an engine log at a verbosity, and returns a function that reads the log.
func logAt(t *testing.T, verbosity int) (change func(*serve.Config), lines func() string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return func(cfg *serve.Config) {
			cfg.Log, cfg.Verbose = logging.New(file, "json", verbosity, logging.Options{NoColor: true}), true
		}, func() string {
			text, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
}

// A ClientHello on a plain HTTP port gets a plain HTTP response. It is logged at -vv, not at -v, and in the access
// log like every response.
func TestHelloOnPlainPort(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		for verbosity, want := range map[int]int{1: 0, 2: 1} {
			access, accesses := logTo(t, accesslog.Combined)
			change, lines := logAt(t, verbosity)
			s := servetest.Start(t, t.TempDir(), run, func(cfg *serve.Config) {
				cfg.Access = access
				change(cfg)
			})
			_, client := servetest.Credentials(t, nil)
			c := s.Dial()
			c.Write(servetest.Hello(t, client))
			if got := all(c); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
				t.Errorf("the response is %q, want 400", got)
			}
			c.Close()
			s.Stop()
			if n := strings.Count(lines(), "TLS on a port for plain HTTP"); n != want || verbosity == 1 && lines() != "" {
				t.Errorf("%d lines at verbosity %d, want %d\n%s", n, verbosity, want, lines())
			}
			if text := accesses(); bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte(`"-" 400 `)) {
				t.Errorf("the access log has %q, want one line with 400", text)
			}
		}
	})
}

// A handshake times out after ten seconds, however its bytes arrive.
func TestHandshakeTimeout(t *testing.T) {
	credentials, client := servetest.Credentials(t, nil)
	p := servetest.Hello(t, client)
	eachEngineAtOnce(t, func(t *testing.T, run servetest.Run) {
		row := new(scoreboard.Row)
		s := servetest.StartSecure(t, t.TempDir(), run, credentials, func(cfg *serve.Config) {
			cfg.Row, cfg.Conn.KeepAlive = row, time.Hour
		})
		began := time.Now()
		half, silent, dripping := s.Dial(), s.Dial(), s.Dial()
		half.Write(p[:len(p)-1])
		var drips sync.WaitGroup
		drips.Go(func() {
			for i := range p {
				if _, err := dripping.Write(p[i : i+1]); err != nil {
					return
				}
				time.Sleep(tlsconn.HandshakeTimeout / 200)
			}
		})
		for name, c := range map[string]*net.TCPConn{"half": half, "silent": silent, "dripping": dripping} {
			c.SetReadDeadline(began.Add(6 * tlsconn.HandshakeTimeout))
			if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: received %d bytes, error %v; want a close", name, n, err)
			}
		}
		if took := time.Since(began); took < tlsconn.HandshakeTimeout-time.Second {
			t.Errorf("closed after %v, want %v", took, tlsconn.HandshakeTimeout)
		}
		systest.Await(t, "a count of three timeouts", func() bool { return row.Unsecured[tlsconn.ReasonTimeout].Load() == 3 })
		drips.Wait()
		s.Stop()
	})
}
