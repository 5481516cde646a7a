package eventloop

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// trailing is what a client sends after its last request, more than a loop receives at once. It is discarded.
var trailing = strings.Repeat("\x00", 10_000)

// requests returns requests chosen by random bytes; the last one may close the connection.
func requests(choice []byte) (text string) {
	all := []string{
		servetest.Get("/small"), servetest.Get("/middle"), servetest.Get("/large"), servetest.Get("/none"), "\r\n",
		"HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n", servetest.Get("/large", "Range: bytes=7-200000"),
		servetest.Get("/small", "X-Long: "+string(bytes.Repeat([]byte("x"), 5000))), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
	}
	for i, b := range choice[:min(len(choice), 12)] {
		if n := int(b) % (len(all) + 1); n < len(all) {
			text += all[n]
		} else if i > 0 {
			return text + servetest.Get([]string{"/middle", "/large"}[int(b)/(len(all)+1)%2], "Connection: close") + trailing
		}
	}
	return text
}

// relayed returns the configuration of the loops of relays, and a listening socket.
func relayed(f *testing.F) (cfg serve.Config, listener int, addr string) {
	f.Helper()
	dir := f.TempDir()
	for name, size := range map[string]int{"small": 100, "middle": 9000, "large": 300_000} {
		servetest.Noise(f, dir+"/"+name, size)
		if err := os.Chtimes(dir+"/"+name, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			f.Fatal(err)
		}
	}
	files := uncachedFiles(f, dir)
	listener, addr = servetest.Listen(f)
	f.Cleanup(func() { unix.Close(listener) })
	began := time.Now()
	return serve.Config{
		Recv: 4096, Log: zerolog.Nop(), Clock: func() (time.Time, time.Duration) { return began, time.Hour },
		Conn: conn.Config{Site: files, Server: "test", KeepAlive: time.Minute, Expires: time.Hour},
	}, listener, addr
}

// FuzzRescue checks that a connection served by any number of loops, each of which has only the records of the previous
// one, sends the same bytes as one served by a single loop.
func FuzzRescue(f *testing.F) {
	f.Add([]byte{1, 6, 2, 6, 4, 6, 3, 7, 255}, []byte{0, 1, 2, 3})
	f.Add([]byte{249, 6, 249, 6, 250, 4, 6, 4, 250, 6, 4, 4, 6, 100, 4, 6}, []byte{2, 2, 2, 6, 1, 10})
	f.Add([]byte{0, 8, 6, 16, 24, 7, 32, 6, 249, 249, 249, 7, 249, 6, 4, 6}, []byte{7, 0, 7, 4, 7, 5})
	f.Add([]byte{249, 4, 249, 4, 0, 7, 100, 6, 4}, []byte{0, 21})
	cfg, listener, addr := relayed(f)
	f.Fuzz(func(t *testing.T, steps, choice []byte) {
		input := requests(choice)
		one := newRelay(t, cfg, listener, addr, input)
		want := one.finish()
		one.close()
		many := newRelay(t, cfg, listener, addr, input)
		defer many.close()
		if len(steps)%2 == 1 { // a whole file has room in the socket, while the client has not received it
			if err := unix.SetsockoptInt(many.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range steps[:min(len(steps), 200)] {
			many.step(b)
			if !bytes.HasPrefix(want, many.got) {
				t.Fatalf("the %d bytes received are not the beginning of the %d expected ones", len(many.got), len(want))
			}
		}
		if got := many.finish(); !bytes.Equal(got, want) {
			t.Fatalf("received %d bytes, want %d:\n%.800q\n%.800q", len(got), len(want), got, want)
		}
	})
}

// FuzzRescueProxied is FuzzRescue for a connection with a PROXY header, whose client no loop may forget.
func FuzzRescueProxied(f *testing.F) {
	f.Add([]byte{1, 6, 2, 6, 4, 6, 3, 7, 255}, []byte{0, 1, 2, 3}, false)
	f.Add([]byte{128, 6, 136, 6, 249, 6, 249, 6, 250, 4, 6, 4, 250, 6, 4, 4, 6, 100, 4, 6}, []byte{2, 2, 2, 6, 1, 10}, true)
	f.Add([]byte{6, 9, 6, 41, 6, 16, 24, 7, 32, 6, 249, 249, 249, 7, 249, 6, 4, 6}, []byte{7, 0, 7, 4, 7, 5}, true)
	plain, listener, addr := relayed(f)
	proxied := plain
	proxied.Proxied = loopback(f)
	f.Fuzz(func(t *testing.T, steps, choice []byte, binary bool) {
		const header1, client = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "203.0.113.7:4711"
		const header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10\xcb\x00\x71\x07\xc0\x00\x02\x01\x12\x67\x00\x50\x04\x00\x01x"
		header := header1
		if binary {
			header = header2
		}
		input := requests(choice)
		one := newRelay(t, plain, listener, addr, input)
		want := one.finish()
		one.close()
		many := newRelay(t, proxied, listener, addr, header+input)
		defer many.close()
		for _, b := range steps[:min(len(steps), 200)] {
			many.step(b)
		}
		if got := many.finish(); !bytes.Equal(got, want) {
			t.Fatalf("received %d bytes, want %d:\n%.800q\n%.800q", len(got), len(want), got, want)
		}
		many.kill()
		if p := many.l.peers[many.fd]; p != nil && p.http1.Client().String() != client {
			t.Fatalf("the client is %v, want %s", p.http1.Client(), client)
		}
	})
}
