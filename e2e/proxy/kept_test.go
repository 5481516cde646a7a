package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestClientOfPersistentConnections keeps a proxy's connections open while their worker is killed and reloaded.
// The client is the one of each connection's PROXY header, which is sent only once, and maybe in two parts,
// with the worker's death between them.
func TestClientOfPersistentConnections(t *testing.T) {
	log := filepath.Join(harness.MemoryDir(t), "access")
	plain, secure := harness.FreePort(t), harness.FreePort(t)
	s := harness.ServeAs(t, harness.Plan{Args: []string{"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "-v",
		"--listen", fmt.Sprintf("http://127.0.0.1:%d", plain), "--listen", fmt.Sprintf("https://127.0.0.1:%d", secure), "--tls-self-signed",
		"--plain", "serve", "--workers", "1", "--access-log", log, "--access-log-format", "json", "--proxy-protocol", sender}})
	const header, named = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "203.0.113.7"
	dial := func(port int, first string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(sender)}}
		c, err := d.Dial("tcp", harness.Loopback(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(harness.InTime(time.Minute)))
		write(t, c, first)
		return c
	}
	one := dial(plain, header)
	sealed := tls.Client(dial(secure, header), &tls.Config{InsecureSkipVerify: true})
	ask := func(c net.Conn, path string) {
		write(t, c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "front" {
			t.Errorf("%s: %q, error %v; want \"front\"", path, body, err)
		}
		if l := logged(t, log, path); l.Client != named {
			t.Errorf("%s is logged with client %s, want %s", path, l.Client, named)
		}
	}
	ask(one, "/?plain1")
	ask(sealed, "/?sealed1")
	killed := s.Workers()
	split := dial(plain, header[:15]) // to be completed within 10 s
	harness.Kill(t, killed[0], syscall.SIGKILL)
	s.AwaitWorkers(1, killed...)
	write(t, split, header[15:])
	ask(split, "/?split2")
	ask(one, "/?plain2")
	ask(sealed, "/?sealed2")
	s.Replace(syscall.SIGHUP, 1)
	ask(one, "/?plain3")
	ask(sealed, "/?sealed3")
	ask(split, "/?split3")
	for _, c := range []net.Conn{one, sealed, split} {
		c.Close()
	}
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}
