package eventloop

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"

	wire "golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// local is a unix socket on which loops serve a directory with one file.
type local struct {
	t     *testing.T
	dir   string
	small []byte
	l     *net.UnixListener
	http2 bool // instead of HTTPS beside it
}

func newLocal(t *testing.T) *local {
	t.Helper()
	s := &local{t: t, dir: t.TempDir()}
	s.small = servetest.Noise(t, s.dir+"/small", 100)
	var err error
	if s.l, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.dir + "/socket", Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.l.Close() })
	return s
}

// worker starts a loop that counts in a row of the scoreboard.
func (s *local) worker(row *scoreboard.Row) *servetest.Server {
	s.t.Helper()
	raw, err := s.l.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	var fd int
	raw.Control(func(n uintptr) { fd, err = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		s.t.Fatal(err)
	}
	w := servetest.At(s.t, "")
	w.ServeAll(s.dir, []serve.Listener{{FD: fd, Shared: true}}, run, func(cfg *serve.Config) {
		if cfg.Row, cfg.Conn.HTTP2 = row, s.http2; !s.http2 {
			cfg.Conn.SecurePort = 443
		}
	})
	return w
}

// dial connects.
func (s *local) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("unix", s.l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// client connects and returns a function that requests the file on the connection.
func (s *local) client() (ask func()) {
	s.t.Helper()
	c := s.dial()
	in := bufio.NewReader(c)
	return func() {
		s.t.Helper()
		servetest.Send(s.t, c, servetest.Get("/small"))
		if res, body := servetest.Receive(s.t, in); res.StatusCode != 200 || len(body) != len(s.small) || res.Close {
			s.t.Fatalf("%s, %d bytes, close %v; want 200 with the file on a connection that stays open", res.Status, len(body), res.Close)
		}
	}
}

// A connection of a unix socket is handed over like any other, and is still not redirected to HTTPS.
func TestUnixConnectionMoves(t *testing.T) {
	s := newLocal(t)
	w := s.worker(nil)
	ask := s.client()
	ask()
	for range 3 {
		from, to := newHandover(t)
		next := s.worker(nil)
		next.Order(serve.TakeOver{FD: to})
		w.Order(serve.Drain{Kept: true, HandOver: true}, serve.HandOver{FD: from})
		w.Wait()
		w = next
		ask()
	}
	w.Stop()
}

// The HTTP/2 of a unix socket has no budget, even if the connection was handed over before it began.
func TestUnixConnectionMovesBeforeHTTP2(t *testing.T) {
	s := newLocal(t)
	s.http2 = true
	var row scoreboard.Row
	w := s.worker(&row)
	c := s.dial()
	systest.Await(t, "the connection", func() bool { return row.Accepted.Load() == 1 })
	from, to := newHandover(t)
	next := s.worker(nil)
	next.Order(serve.TakeOver{FD: to})
	w.Order(serve.Drain{Kept: true, HandOver: true}, serve.HandOver{FD: from})
	w.Wait()
	const pings = 2000 // more than a client's budget
	var frames bytes.Buffer
	frames.WriteString(conn.Preface)
	framer := wire.NewFramer(&frames, c)
	framer.WriteSettings()
	for range pings {
		framer.WritePing(false, [8]byte{})
	}
	go c.Write(frames.Bytes()) // while responses are read; ends with the connection
	for n := 0; n < pings; {
		switch f, err := framer.ReadFrame(); f.(type) {
		case *wire.PingFrame:
			n++
		case *wire.SettingsFrame:
		default:
			t.Fatalf("%v, %v after %d pings", f, err, n)
		}
	}
	c.Close()
	next.Stop()
}

// Connections that a proxy keeps open are spread over all workers, however idle these are.
func TestUnixConnectionsAreSpread(t *testing.T) {
	s := newLocal(t)
	rows := make([]*scoreboard.Row, 3)
	var workers []*servetest.Server
	for i := range rows {
		rows[i] = new(scoreboard.Row)
		workers = append(workers, s.worker(rows[i]))
	}
	systest.Await(t, "a heartbeat of each loop", func() bool {
		return rows[0].Beat.Load() != 0 && rows[1].Beat.Load() != 0 && rows[2].Beat.Load() != 0
	})
	least := func() uint64 { return min(rows[0].Accepted.Load(), rows[1].Accepted.Load(), rows[2].Accepted.Load()) }
	made := 0
	for ; made < 90 || made < 270 && least() < 10; made++ { // beyond 90 for a worker that had no time
		s.client()()
	}
	if n := least(); n < 10 {
		t.Errorf("a worker has %d of %d connections, want at least 10", n, made)
	}
	for _, w := range workers {
		w.Order(serve.Drain{})
	}
	for _, w := range workers {
		w.Wait()
	}
}
