package serve_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/tlsconn"
)

// askTLS sends a request for the path and returns the response's status and body.
func askTLS(t *testing.T, c *tls.Conn, r *bufio.Reader, path string, fields ...string) (int, []byte) {
	t.Helper()
	servetest.Send(t, c, servetest.Get(path, fields...))
	res, body := servetest.Receive(t, r)
	return res.StatusCode, body
}

// clients are kinds of TLS clients and their configurations.
var clients = map[string]func(*tls.Config){
	"1.3":       func(*tls.Config) {},
	"1.3 P-256": func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
	"1.2":       func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
	"1.2 ChaCha20": func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	},
}

// An output buffer holds the responses of one turn as TLS records.
func TestOutSize(t *testing.T) {
	if n := tlsconn.MaxSealed(serve.TextSize); n > serve.OutSize {
		t.Errorf("%d bytes of responses need %d bytes as records, want at most %d", serve.TextSize, n, serve.OutSize)
	}
}

// Bodies of all sizes arrive completely with every kind of client, on one connection.
func TestSecureDelivery(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		sizes := []int{0, 1, 1000, serve.InlineMax - 1, serve.InlineMax, serve.InlineMax + 1, 64 << 10, serve.TextSize, serve.OutSize, 1 << 20, 1<<20 + 1, 5 << 20}
		data := map[int][]byte{}
		for _, n := range sizes {
			data[n] = servetest.Noise(t, filepath.Join(dir, strconv.Itoa(n)), n)
		}
		credentials, client := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		defer s.Stop()
		for name, change := range clients {
			client := client.Clone()
			change(client)
			c := s.DialTLS(client)
			r := bufio.NewReader(c)
			for _, n := range sizes {
				if status, body := askTLS(t, c, r, "/"+strconv.Itoa(n)); status != 200 || !bytes.Equal(body, data[n]) {
					t.Errorf("%s: status %[3]d with %[4]d bytes, want 200 with %[2]d", name, n, status, len(body))
				}
			}
			if status, body := askTLS(t, c, r, "/1000", "Range: bytes=100-199"); status != 206 || !bytes.Equal(body, data[1000][100:200]) {
				t.Errorf("%s: range: status %d, %q", name, status, body)
			}
			// Pipelined requests in one record, and in many.
			for range 100 {
				servetest.Send(t, c, servetest.Get("/1")+servetest.Get("/1048576", "Range: bytes=5-40004"))
			}
			for range 100 {
				_, body := servetest.Receive(t, r)
				_, part := servetest.Receive(t, r)
				if len(body) != 1 || !bytes.Equal(part, data[1<<20][5:40005]) {
					t.Fatalf("%s: pipelined responses of %d and %d bytes, want 1 and 40000", name, len(body), len(part))
				}
			}
			c.Close()
		}
	})
}

// The last response is followed by close_notify, which distinguishes its end from a truncation.
func TestCloseNotify(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o644); err != nil {
			t.Fatal(err)
		}
		credentials, client := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		defer s.Stop()
		for name, change := range clients {
			client := client.Clone()
			change(client)
			c := s.DialTLS(client)
			r := bufio.NewReader(c)
			if status, body := askTLS(t, c, r, "/a", "Connection: close"); status != 200 || string(body) != "hello" {
				t.Errorf("%s: status %d, %q; want 200 with \"hello\"", name, status, body)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: %d bytes and error %v after the last response, want EOF", name, n, err)
			}
			// A client that half-closes first gets its response, and then close_notify.
			c = s.DialTLS(client)
			servetest.Send(t, c, servetest.Get("/a"))
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r = bufio.NewReader(c)
			if _, body := servetest.Receive(t, r); string(body) != "hello" {
				t.Errorf("%s: %q, want \"hello\"", name, body)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: %d bytes and error %v after the client's close, want EOF", name, n, err)
			}
		}
	})
}

// Once new credentials are confirmed, no connection begins with the previous ones.
func TestConfirmedCredentials(t *testing.T) {
	eachEngine(t, func(t *testing.T, run servetest.Run) {
		dir := t.TempDir()
		servetest.Noise(t, filepath.Join(dir, "a"), 10)
		first, client := servetest.Credentials(t, nil)
		s := servetest.StartSecure(t, dir, run, first, nil)
		defer s.Stop()
		s.DialTLS(client).Close()
		for range 5 {
			next, client := servetest.Credentials(t, nil)
			confirmed := make(chan struct{})
			s.Order(next, serve.Confirm(func() { close(confirmed) }))
			<-confirmed
			s.DialTLS(client).Close() // the client trusts the new certificate only
		}
	})
}
