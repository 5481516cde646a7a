package eventloop

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
)

// While the loop waits for a file that is not in memory, it serves other connections. The disk takes as long as the
// test wants.
func TestSlowDisk(t *testing.T) {
	slowDisk(t, func(dir string, run servetest.Run) (*servetest.Server, func() net.Conn) {
		s := servetest.Start(t, dir, run, nil)
		return s, func() net.Conn { return s.Dial() }
	})
}

// The same over TLS.
func TestSlowDiskSecure(t *testing.T) {
	credentials, client := servetest.Credentials(t, nil)
	slowDisk(t, func(dir string, run servetest.Run) (*servetest.Server, func() net.Conn) {
		s := servetest.StartSecure(t, dir, run, credentials, nil)
		return s, func() net.Conn { return s.DialTLS(client) }
	})
}

func slowDisk(t *testing.T, start func(dir string, run servetest.Run) (*servetest.Server, func() net.Conn)) {
	t.Helper()
	dir := t.TempDir()
	cold := servetest.Noise(t, dir+"/cold", 3*quantum+5)
	small := servetest.Noise(t, dir+"/small", 1000)
	servetest.Noise(t, dir+"/warm", 1000)
	asked, answer := make(chan int64, 64), make(chan bool)
	s, dial := start(dir, changed(func(l *Loop) {
		l.disk.resident = func(fd int, off, n int64) bool { return isWarm(fd) }
		l.disk.load = func(fd int, off, n int64) syscall.Errno {
			asked <- off
			<-answer
			return 0
		}
	}))
	slow, tiny, quick := dial(), dial(), dial()
	defer quick.Close()
	servetest.Send(t, slow, servetest.Get("/cold"))
	servetest.Send(t, tiny, servetest.Get("/small"))
	<-asked
	<-asked
	r := bufio.NewReader(quick)
	for range 100 {
		servetest.Send(t, quick, servetest.Get("/warm"))
		if res, _ := servetest.Receive(t, r); res.StatusCode != 200 {
			t.Fatalf("%s during a slow read, want 200", res.Status)
		}
	}
	close(answer) // from now on the disk is fast
	if _, body := servetest.Receive(t, bufio.NewReader(slow)); !bytes.Equal(body, cold) {
		t.Errorf("%d bytes of the large file arrived, want %d", len(body), len(cold))
	}
	if _, body := servetest.Receive(t, bufio.NewReader(tiny)); !bytes.Equal(body, small) {
		t.Errorf("%d bytes of the small file arrived, want %d", len(body), len(small))
	}
	slow.Close()
	tiny.Close()
	s.Stop()
}

// A client that waits for the disk does not time out, however long it had been idle and may be.
func TestSlowDiskTimesNobodyOut(t *testing.T) {
	dir := t.TempDir()
	cold := servetest.Noise(t, dir+"/cold", 2000)
	servetest.Noise(t, dir+"/warm", 1000)
	asked, answer := make(chan bool, 8), make(chan bool)
	var clock *stall
	s := servetest.Start(t, dir, changed(func(l *Loop) {
		l.disk.resident = func(fd int, off, n int64) bool { return isWarm(fd) }
		l.disk.load = func(int, int64, int64) syscall.Errno {
			asked <- true
			<-answer
			return 0
		}
	}), func(cfg *serve.Config) {
		cfg.Conn.KeepAlive = 2 * conn.SendTimeout
		clock = newStall(cfg)
	})
	slow, quick := s.Dial(), s.Dial()
	defer slow.Close()
	defer quick.Close()
	in := bufio.NewReader(slow)
	servetest.Send(t, slow, servetest.Get("/warm"))
	servetest.Receive(t, in)
	servetest.Send(t, slow, servetest.Get("/cold"))
	<-asked
	clock.skipped.Store(int64(3 * conn.SendTimeout))
	servetest.Send(t, quick, servetest.Get("/warm", "Connection: close")) // a turn at that time
	io.Copy(io.Discard, quick)
	close(answer)
	if _, body := servetest.Receive(t, in); !bytes.Equal(body, cold) {
		t.Errorf("%d bytes arrived, want %d", len(body), len(cold))
	}
	slow.Close()
	s.Stop()
}

// A file that the disk cannot read is not tried again by the loop, which the disk would keep waiting as long as it kept
// the goroutine before: its response is truncated.
func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/cold", 2*quantum)
	servetest.Noise(t, dir+"/small", 2000)
	var row scoreboard.Row
	s := servetest.Start(t, dir, changed(func(l *Loop) {
		l.disk.resident = func(int, int64, int64) bool { return false }
		l.disk.load = func(int, int64, int64) syscall.Errno { return unix.EIO }
	}), func(cfg *serve.Config) { cfg.Row = &row })
	for _, path := range []string{"/cold", "/small"} {
		c := s.Dial()
		res, _ := servetest.Begin(t, c, path, 0)
		if n, err := io.Copy(io.Discard, res.Body); n != 0 || err == nil {
			t.Errorf("%s: %d bytes of a file that cannot be read, error %v", path, n, err)
		}
		c.Close()
	}
	s.Stop()
	if n := row.Truncated.Load(); n != 2 {
		t.Errorf("%d truncated responses, want 2", n)
	}
}

// A client that disconnects during a slow read leaks nothing.
func TestClientDisconnectsDuringSlowRead(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/cold", 1<<20)
	asked, answer := make(chan bool, 8), make(chan bool)
	s := servetest.Start(t, dir, changed(func(l *Loop) {
		l.disk.resident = func(int, int64, int64) bool { return false }
		l.disk.load = func(int, int64, int64) syscall.Errno {
			asked <- true
			<-answer
			return 0
		}
	}), nil)
	c := s.DialWith(servetest.Get("/cold"))
	<-asked
	c.SetLinger(0)
	c.Close()
	time.AfterFunc(50*time.Millisecond, func() { close(answer) })
	s.Stop()
}

// The kernel is not asked again about parts of a file that were in memory a moment ago, neither for the next piece of a
// download nor for another client.
func TestResidentIsRemembered(t *testing.T) {
	type question struct {
		fd     int
		off, n int64
	}
	var asked []question
	warm := true
	d := disk{resident: func(fd int, off, n int64) bool {
		asked = append(asked, question{fd, off, n})
		return warm
	}}
	one, other := &begun{fd: 3}, &begun{fd: 4}
	const size, mib = 5<<20 + 7, 1 << 20
	for i, tt := range []struct {
		file   *begun
		off, n int64
		at     time.Duration
		asks   int64 // for how many bytes; 0: no question
		cold   bool
	}{
		{file: one, off: 1000, n: quantum, asks: mib - 1000},
		{file: one, off: 1000 + quantum, n: quantum},
		{file: one, off: 1000, n: mib - 1000},
		{file: one, off: 999, n: 1, asks: mib - 999},
		{file: other, off: 1000, n: quantum, asks: mib - 1000},
		{file: one, off: mib - 1, n: 2, asks: mib + 1},
		{file: one, off: size - 8, n: 8, asks: 8},
		{file: one, off: size - 8, n: 8, at: residentFor - 1},
		{file: one, off: size - 8, n: 8, at: residentFor, asks: 8},
		{file: one, off: 3 * mib, n: mib, cold: true, asks: mib},
		{file: one, off: 3 * mib, n: mib, asks: mib},
		{file: one, off: 3 * mib, n: mib},
	} {
		asked, warm = nil, !tt.cold
		if d.inMemory(conn.Segment{File: tt.file, Off: tt.off, Len: size - tt.off}, tt.n, time.Hour+tt.at) == tt.cold {
			t.Errorf("case %d: in memory %v", i, tt.cold)
		}
		var want []question
		if tt.asks > 0 {
			want = []question{{tt.file.fd, tt.off, tt.asks}}
		}
		if !slices.Equal(asked, want) {
			t.Errorf("case %d: asked %v, want %v", i, asked, want)
		}
	}
}

// A file with the descriptor and in the memory of another one, which was closed a moment ago, is asked about.
func TestResidentIsForgotten(t *testing.T) {
	warm := true
	d := disk{resident: func(int, int64, int64) bool { return warm }}
	f := &sized{begun{fd: 3}, 1000}
	seg := conn.Segment{File: f, Len: 1000}
	first := fetched{identityOf(f), 0, 1000}
	if !d.inMemory(seg, 1000, time.Hour) {
		t.Fatal("a file in memory is not")
	}
	warm = false
	if !d.inMemory(seg, 1000, time.Hour) || !first.holds(identityOf(f), 0, 1000) {
		t.Error("the same file is asked about again")
	}
	f.size++ // now it is the next one
	if d.inMemory(seg, 1000, time.Hour) || first.holds(identityOf(f), 0, 1000) {
		t.Error("the next file is taken for the one before")
	}
}

// sized is a file of a known size.
type sized struct {
	begun
	size int64
}

func (s *sized) Size() int64 { return s.size }

// run runs a loop.
func run(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error {
	return changed(nil)(cfg, listeners, orders)
}

// changed returns a function that runs a loop after change.
func changed(change func(*Loop)) servetest.Run {
	return func(cfg serve.Config, listeners []serve.Listener, orders *serve.Orders) error {
		l, err := New(cfg)
		if err != nil {
			return err
		}
		if change != nil {
			change(l)
		}
		return l.Run(listeners, orders)
	}
}

// isWarm reports whether a file is named "warm".
func isWarm(fd int) bool {
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && strings.HasSuffix(name, "/warm")
}

// Resident reports whether a file is in memory: after it was written, dropped from memory, and read again.
func TestResident(t *testing.T) {
	path := t.TempDir() + "/f"
	servetest.Noise(t, path, 4<<20)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if !site.Resident(fd, 0, 4<<20) {
		t.Error("a file that was just written is not reported in memory")
	}
	if n := testing.AllocsPerRun(100, func() { site.Resident(fd, 0, 4<<20) }); n > 0 {
		t.Errorf("Resident allocates %v times, want none", n)
	}
	if err := unix.Fsync(fd); err != nil {
		t.Fatal(err)
	}
	drop := func() {
		if err := unix.Fadvise(fd, 0, 4<<20, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
	}
	drop()
	// Far from the part that is asked about: also such a read makes the kernel read ahead.
	if _, err := unix.Preadv2(fd, [][]byte{make([]byte, 1)}, 2<<20, unix.RWF_NOWAIT); err != unix.EAGAIN {
		t.Logf("this file system cannot tell what is in memory, or keeps everything: %v", err)
		return
	}
	for tries := 1; site.Resident(fd, 0, 256<<10); tries++ {
		if tries == 10 {
			t.Fatal("a file that was dropped is reported in memory")
		}
		drop() // the kernel skips what its memory management looks at
	}
	if errno := load(fd, 0, 256<<10); errno != 0 {
		t.Fatal(errno)
	}
	if !site.Resident(fd, 0, 256<<10) {
		t.Error("a part that was read is not reported in memory")
	}
}
