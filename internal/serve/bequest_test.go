package serve

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
)

// line is a row of loops on one listening socket, of which each takes over from
// the one before.
type line struct {
	t        *testing.T
	dir      string
	fd       int // of the listening socket
	addr     string
	change   func(*Config)
	last     *server
	legacies chan int // bequests to the last
	heirs    chan int // and by it
	finish   chan struct{}
	giving   chan struct{}
}

func newLine(t *testing.T, dir string, change func(*Config)) *line {
	t.Helper()
	fd, addr := listen(t)
	t.Cleanup(func() { unix.Close(fd) })
	l := &line{t: t, dir: dir, fd: fd, addr: addr, change: change}
	l.begin()
	return l
}

// begin starts a loop on a copy of the socket.
func (l *line) begin() {
	l.t.Helper()
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	const loop = 1
	giving := make(chan struct{}) // closed before a drain that gives away
	legacies, heirs, finish := make(chan int), make(chan int), make(chan struct{})
	l.last = startOn(l.t, loop, l.dir, fd, l.addr, func(cfg *Config) {
		cfg.Leave = func() Leaving {
			select {
			case <-giving:
				return Leaving{Kept: true, Giving: true}
			default:
				return Leaving{}
			}
		}
		cfg.Legacies, cfg.Heirs, cfg.Finish = legacies, heirs, finish
		if l.change != nil {
			l.change(cfg)
		}
	})
	l.legacies, l.heirs, l.finish, l.giving = legacies, heirs, finish, giving
}

// succeed starts the next loop and lets the last one hand over to it. It
// returns that one, which may have connections that stay a while.
func (l *line) succeed() *server {
	l.t.Helper()
	close(l.giving)
	l.last.drain()
	return l.succeedTo()
}

// succeedTo is succeed for a loop that has been told to go.
func (l *line) succeedTo() *server {
	l.t.Helper()
	old, heirs := l.last, l.heirs
	l.begin()
	giver, taker, err := ipc.Bequest()
	if err != nil {
		l.t.Fatal(err)
	}
	l.legacies <- taker
	heirs <- giver
	return old
}

func (l *line) dial() net.Conn { return l.last.dial() }

// Idle connections, more than the channel holds at once, go on as if nothing
// had happened, and the old loop ends at once.
func TestIdleConnectionsMove(t *testing.T) {
	before := openDescriptors(t)
	t.Run("", func(t *testing.T) {
		dir := t.TempDir()
		want := noise(t, dir+"/small", 100)
		l := newLine(t, dir, nil)
		var clients []net.Conn
		for range 1000 {
			clients = append(clients, l.dial())
		}
		ask := func() {
			t.Helper()
			for _, c := range clients {
				send(t, c, get("/small"))
			}
			for i, c := range clients {
				if res, body := receive(t, bufio.NewReader(c)); !bytes.Equal(body, want) || res.Close {
					t.Fatalf("connection %d: %s, %d bytes, close %v", i, res.Status, len(body), res.Close)
				}
			}
		}
		ask()
		for range 3 {
			began := time.Now()
			l.succeed().wait()
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the old loop ended after %v", took)
			}
			ask()
		}
		for _, c := range clients {
			c.Close()
		}
		l.last.stop()
	})
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// Requests go on while their connections move, and a head may be cut anywhere.
func TestHeadsMove(t *testing.T) {
	dir := t.TempDir()
	want := noise(t, dir+"/small", 100)
	l := newLine(t, dir, nil)
	raw := get("/small")
	var clients []net.Conn
	for range len(raw) {
		clients = append(clients, l.dial())
	}
	for i, c := range clients {
		send(t, c, get("/small")+raw[:i])
		receive(t, bufio.NewReader(c))
	}
	l.succeed().wait()
	for i, c := range clients {
		send(t, c, raw[i:])
	}
	for i, c := range clients {
		if res, body := receive(t, bufio.NewReader(c)); res.StatusCode != 200 || !bytes.Equal(body, want) {
			t.Errorf("cut after %d bytes: %s", i, res.Status)
		}
		c.Close()
	}
	l.last.stop()
}

// A download moves from loop to loop and arrives byte for byte, what was
// pipelined behind it too.
func TestDownloadsMove(t *testing.T) {
	dir := t.TempDir()
	big, small := noise(t, dir+"/big", 24<<20), noise(t, dir+"/small", 100)
	l := newLine(t, dir, nil)
	c := l.dial()
	send(t, c, get("/big")+get("/small"))
	r := bufio.NewReader(c)
	got := make([]byte, 0, len(big)+1<<10)
	for len(got) < len(big) {
		piece := make([]byte, min(4<<20, len(big)+200-len(got)))
		n, err := io.ReadFull(r, piece)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got)+n, err)
		}
		got = append(got, piece...)
		if len(got) < len(big)-8<<20 {
			l.succeed().wait() // it has nothing left
		}
	}
	res, err := readAll(got, r)
	if err != nil || !bytes.Equal(res[0], big) || !bytes.Equal(res[1], small) {
		t.Errorf("what arrived is not what was sent: %v", err)
	}
	c.Close()
	l.last.stop()
}

// readAll reads two replies of which a part has been read.
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

// What cannot move is finished where it is, and moves then.
func TestManyRangesStay(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/big", 24<<20)
	l := newLine(t, dir, nil)
	c := l.dial()
	send(t, c, get("/big", "Range: bytes=0-8000000,9000000-20000000"))
	time.Sleep(50 * time.Millisecond) // it fills the socket
	old := l.succeed()
	r := bufio.NewReader(c)
	if res, body := receive(t, r); res.StatusCode != 206 || len(body) < 19_000_000 {
		t.Errorf("%s with %d bytes", res.Status, len(body))
	}
	old.wait()
	send(t, c, get("/big", "Range: bytes=0-9", "Connection: close"))
	if res, body := receive(t, r); res.StatusCode != 206 || len(body) != 10 {
		t.Errorf("%s with %d bytes", res.Status, len(body))
	}
	c.Close()
	l.last.stop()
}

// When the taker is gone the connections are served on until there is another.
func TestTakerGone(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/small", 100)
	l := newLine(t, dir, nil)
	c := l.dial()
	r := bufio.NewReader(c)
	ask := func() {
		t.Helper()
		send(t, c, get("/small"))
		if res, _ := receive(t, r); res.StatusCode != 200 || res.Close {
			t.Errorf("%s, close %v", res.Status, res.Close)
		}
	}
	ask()
	giver, taker, err := ipc.Bequest()
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(taker)
	close(l.giving)
	l.last.drain()
	l.heirs <- giver
	ask()
	l.succeedTo().wait()
	ask()
	c.Close()
	l.last.stop()
}

// When nobody will come the connections end as in any drain.
func TestFinish(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/small", 100)
	l := newLine(t, dir, nil)
	c := l.dial()
	r := bufio.NewReader(c)
	send(t, c, get("/small"))
	receive(t, r)
	close(l.giving)
	l.last.drain()
	close(l.finish)
	began := time.Now()
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, %v, want the end", n, err)
	}
	if took := time.Since(began); took < conn.DrainGrace/2 || took > 5*time.Second {
		t.Errorf("the last chance lasted %v", took)
	}
	c.Close()
	l.last.wait()
}

// Bytes that are no connection are refused, and do no harm.
func TestForeignLegacy(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/small", 100)
	l := newLine(t, dir, nil)
	giver, taker, err := ipc.Bequest()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.legacies <- taker
	if err := ipc.Give(giver, []byte("nonsense"), pair[0], -1); err != nil {
		t.Fatal(err)
	}
	unix.Close(pair[0])
	if n, err := unix.Read(pair[1], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read %d, %v, want the end", n, err)
	}
	unix.Close(pair[1])
	unix.Close(giver)
	c := l.dial()
	send(t, c, get("/small", "Connection: close"))
	if res, _ := receive(t, bufio.NewReader(c)); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	l.last.stop()
}

// The loop says that it goes round, idle or not, and not much more often than
// it is asked to.
func TestBeat(t *testing.T) {
	beats := make(chan struct{}, 1000)
	dir := t.TempDir()
	noise(t, dir+"/small", 100)
	s := start(t, 1, dir, func(cfg *Config) {
		cfg.BeatEvery = 20 * time.Millisecond
		cfg.Beat = func() { beats <- struct{}{} }
	})
	for range 3 {
		<-beats
	}
	began, n := time.Now(), len(beats)
	c := s.dial()
	r := bufio.NewReader(c)
	for time.Since(began) < 200*time.Millisecond {
		send(t, c, get("/small"))
		receive(t, r)
	}
	if n = len(beats) - n; n < 3 || n > 12 {
		t.Errorf("%d beats in 200 ms", n)
	}
	c.Close()
	s.stop()
}
