package eventloop

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/systest"
)

// loops is a series of loops on one listening socket, each of which takes over from the previous one. They serve a
// directory with a small file.
type loops struct {
	t       *testing.T
	dir     string
	small   []byte
	fd      int // the listening socket
	addr    string
	last    *servetest.Server
	clients int // number of clients so far

	credentials *serve.Credentials // nil: without TLS
	change      func(*serve.Config)
}

func newLoops(t *testing.T) *loops {
	t.Helper()
	return newLoopsWith(t, nil, nil)
}

// newLoopsWith is newLoops with TLS credentials and a changed configuration, if not nil.
func newLoopsWith(t *testing.T, credentials *serve.Credentials, change func(*serve.Config)) *loops {
	t.Helper()
	fd, addr := servetest.Listen(t)
	t.Cleanup(func() { unix.Close(fd) })
	l := &loops{t: t, dir: t.TempDir(), fd: fd, addr: addr, credentials: credentials, change: change}
	l.small = servetest.Noise(t, l.dir+"/small", 100)
	l.begin()
	return l
}

// begin starts a loop with a duplicate of the socket.
func (l *loops) begin() {
	l.t.Helper()
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	l.last = servetest.At(l.t, l.addr)
	if l.credentials != nil {
		l.last.Order(*l.credentials)
	}
	l.last.ServeAll(l.dir, []serve.Listener{{FD: fd, Secure: l.credentials != nil}}, run, l.change)
}

// drainAndHandOver is the drain of a loop that hands its connections over.
var drainAndHandOver = serve.Drain{Kept: true, HandOver: true}

// replace starts the next loop and makes the last one hand over to it. It returns the old one, which may keep connections
// for a while.
func (l *loops) replace() *servetest.Server {
	l.t.Helper()
	l.last.Order(drainAndHandOver)
	return l.replaceDraining()
}

// replaceDraining is replace for a loop that is already draining.
func (l *loops) replaceDraining() *servetest.Server {
	l.t.Helper()
	old := l.last
	l.begin()
	from, to := newHandover(l.t)
	l.last.Order(serve.TakeOver{FD: to})
	old.Order(serve.HandOver{FD: from})
	return old
}

// loopClient is a client with a persistent connection.
type loopClient struct {
	net.Conn
	l *loops
	n int // its number, from 1
	r *bufio.Reader
}

func (l *loops) client() *loopClient {
	l.t.Helper()
	c := l.last.Dial()
	l.clients++
	return &loopClient{c, l, l.clients, bufio.NewReader(c)}
}

func (c *loopClient) send(p string) {
	c.l.t.Helper()
	servetest.Send(c.l.t, c, p)
}

// served expects a response with the small file and without Connection: close.
func (c *loopClient) served() {
	c.l.t.Helper()
	res, body := servetest.Receive(c.l.t, c.r)
	if res.StatusCode != 200 || !bytes.Equal(body, c.l.small) || res.Close {
		c.l.t.Fatalf("client %d: %s, %d bytes, close %v; want 200 with the small file on a connection that stays open", c.n, res.Status, len(body), res.Close)
	}
}

func (c *loopClient) ask() {
	c.l.t.Helper()
	c.send(servetest.Get("/small"))
	c.served()
}

func newHandover(t *testing.T) (from, to int) {
	t.Helper()
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	return from, to
}

// Idle connections, more than the channel holds at once, are handed over, and the old loop ends at once.
func TestIdleConnectionsMove(t *testing.T) {
	servetest.NoLeaks(t, func(t *testing.T) {
		l := newLoops(t)
		var clients []*loopClient
		for range 1000 {
			clients = append(clients, l.client())
		}
		ask := func() {
			t.Helper()
			for _, c := range clients {
				c.send(servetest.Get("/small"))
			}
			for _, c := range clients {
				c.served()
			}
		}
		ask()
		for range 3 {
			began := time.Now()
			l.replace().Wait()
			if took := time.Since(began); took > 9*time.Second { // without a handover it ends after 11
				t.Errorf("the old loop ended after %v, want at most 9s", took)
			}
			ask()
		}
		for _, c := range clients {
			c.Close()
		}
		l.last.Stop()
	})
}

// A connection may be handed over at any point of a request head.
func TestHeadsMove(t *testing.T) {
	l := newLoops(t)
	raw := servetest.Get("/small")
	var clients []*loopClient
	for range len(raw) {
		clients = append(clients, l.client())
	}
	for i, c := range clients {
		c.send(raw + raw[:i])
		c.served()
	}
	l.replace().Wait()
	for i, c := range clients {
		c.send(raw[i:])
	}
	for _, c := range clients {
		c.served()
		c.Close()
	}
	l.last.Stop()
}

// A download that is handed over several times arrives byte for byte, and so does the response to a pipelined request.
func TestDownloadsMove(t *testing.T) {
	l := newLoops(t)
	big := servetest.Noise(t, l.dir+"/big", 24<<20)
	c := l.client()
	c.send(servetest.Get("/big") + servetest.Get("/small"))
	got := make([]byte, 0, len(big)+1<<10)
	for len(got) < len(big) {
		piece := make([]byte, min(4<<20, len(big)+200-len(got)))
		n, err := io.ReadFull(c.r, piece)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got)+n, err)
		}
		got = append(got, piece...)
		if len(got) < len(big)-8<<20 {
			l.replace().Wait() // the old loop has no connections left
		}
	}
	res, err := readAll(got, c.r)
	if err != nil || !bytes.Equal(res[0], big) || !bytes.Equal(res[1], l.small) {
		t.Errorf("the responses differ from the files, error %v", err)
	}
	c.Close()
	l.last.Stop()
}

// A loop that takes over many downloads of a file opens it once.
func TestDownloadsShareTheirFile(t *testing.T) {
	l := newLoops(t)
	const size = 8 << 20
	servetest.Noise(t, l.dir+"/big", size)
	var clients []*loopClient
	for range 50 {
		c := l.client()
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		c.send(servetest.Get("/big"))
		clients = append(clients, c)
		if _, err := c.r.Peek(1); err != nil {
			t.Fatal(err)
		}
	}
	row := new(scoreboard.Row)
	l.change = func(cfg *serve.Config) { cfg.Row = row }
	l.replace().Wait()
	systest.Await(t, "fifty connections taken over", func() bool { return row.TakenOver.Load() == 50 })
	systest.Await(t, "one descriptor of the file", func() bool {
		open := 0
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if path, _ := os.Readlink("/proc/self/fd/" + fd.Name()); path == l.dir+"/big" {
				open++
			}
		}
		return open == 1
	})
	for _, c := range clients {
		if res, body := servetest.Receive(t, c.r); res.StatusCode != 200 || len(body) != size {
			t.Errorf("client %d: %s with %d bytes, want 200 with %d", c.n, res.Status, len(body), size)
		}
		c.Close()
	}
	l.last.Stop()
}

// readAll reads two responses that begin with bytes already read.
func readAll(begin []byte, rest io.Reader) (bodies [2][]byte, err error) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(begin), rest))
	for i := range bodies {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return bodies, err
		}
		if bodies[i], err = io.ReadAll(res.Body); err != nil {
			return bodies, err
		}
	}
	return bodies, nil
}

// A multipart response cannot be handed over: the old loop finishes it, then hands the connection over.
func TestManyRangesStay(t *testing.T) {
	l := newLoops(t)
	servetest.Noise(t, l.dir+"/big", 24<<20)
	c := l.client()
	c.send(servetest.Get("/big", "Range: bytes=0-8000000,9000000-20000000"))
	time.Sleep(50 * time.Millisecond) // the response fills the socket's buffer
	old := l.replace()
	if res, body := servetest.Receive(t, c.r); res.StatusCode != 206 || len(body) < 19_000_000 {
		t.Errorf("the multipart response: %s with %d bytes, want 206", res.Status, len(body))
	}
	old.Wait()
	c.send(servetest.Get("/big", "Range: bytes=0-9", "Connection: close"))
	if res, body := servetest.Receive(t, c.r); res.StatusCode != 206 || len(body) != 10 {
		t.Errorf("after the handover: %s with %d bytes, want 206 with 10", res.Status, len(body))
	}
	c.Close()
	l.last.Stop()
}

// If the loop that should take over is gone, the old one serves its connections until there is another.
func TestHandOverToNobody(t *testing.T) {
	l := newLoops(t)
	c := l.client()
	c.ask()
	from, to := newHandover(t)
	unix.Close(to)
	l.last.Order(drainAndHandOver, serve.HandOver{FD: from})
	c.ask()
	l.replaceDraining().Wait()
	c.ask()
	c.Close()
	l.last.Stop()
}

// If no loop will take over, the connections end as in any drain.
func TestNobodyTakesOver(t *testing.T) {
	l := newLoops(t)
	c := l.client()
	c.ask()
	began := time.Now()
	l.last.Order(drainAndHandOver, serve.Drain{})
	if n, err := c.r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, error %v; want EOF", n, err)
	}
	if took := time.Since(began); took < conn.DrainGrace/2 || took > conn.DrainGrace+8*time.Second {
		t.Errorf("the grace period was %v, want about %v", took, conn.DrainGrace)
	}
	c.Close()
	l.last.Wait()
}

// A state that cannot be parsed is rejected, and its descriptor is closed.
func TestForeignBytesTakenOver(t *testing.T) {
	l := newLoops(t)
	from, to := newHandover(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.last.Order(serve.TakeOver{FD: to})
	if err := ipc.SendConnection(from, []byte("nonsense"), pair[0], -1); err != nil {
		t.Fatal(err)
	}
	unix.Close(pair[0])
	if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read %d bytes, error %v; want EOF", n, err)
	}
	unix.Close(pair[1])
	unix.Close(from)
	c := l.client()
	c.ask()
	c.Close()
	l.last.Stop()
}

// The loop calls Beat whether it is idle or not, and not much more often than configured.
func TestHeartbeat(t *testing.T) {
	beats := make(chan struct{}, 1000)
	dir := t.TempDir()
	servetest.Noise(t, dir+"/small", 100)
	s := servetest.Start(t, dir, run, func(cfg *serve.Config) {
		cfg.BeatEvery = 20 * time.Millisecond
		cfg.Beat = func() { beats <- struct{}{} }
	})
	for range 3 {
		<-beats
	}
	began, before := time.Now(), len(beats)
	c := s.Dial()
	r := bufio.NewReader(c)
	for len(beats) < before+5 {
		servetest.Send(t, c, servetest.Get("/small"))
		servetest.Receive(t, r)
	}
	n, took := len(beats)-before, time.Since(began)
	if n > 2+int(took/(20*time.Millisecond)) {
		t.Errorf("%d heartbeats in %v", n, took)
	}
	c.Close()
	s.Stop()
}
