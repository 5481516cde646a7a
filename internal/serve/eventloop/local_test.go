package eventloop

import (
	"bufio"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A connection of a unix socket moves to another worker like any other, and is still
// not redirected there.
func TestUnixConnectionMoves(t *testing.T) {
	dir := t.TempDir()
	small := servetest.Noise(t, dir+"/small", 100)
	path := dir + "/socket"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	worker := func() *servetest.Server {
		var fd int
		raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
		if err != nil {
			t.Fatal(err)
		}
		w := servetest.At(t, path)
		w.ServeAll(dir, []serve.Listener{{FD: fd, Shared: true}}, run, func(cfg *serve.Config) { cfg.Conn.SecurePort = 443 })
		return w
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	ask := func() {
		t.Helper()
		servetest.Send(t, c, servetest.Get("/small"))
		if res, body := servetest.Receive(t, in); res.StatusCode != 200 || len(body) != len(small) || res.Close {
			t.Fatalf("%s, %d bytes, ends %v", res.Status, len(body), res.Close)
		}
	}
	w := worker()
	ask()
	for range 3 {
		from, to := newHandover(t)
		next := worker()
		next.Order(serve.TakeOver{FD: to})
		w.Order(serve.Drain{Kept: true, HandOver: true}, serve.HandOver{FD: from})
		w.Wait()
		w = next
		ask()
	}
	w.Stop()
}
