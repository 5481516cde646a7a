package eventloop

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
	"phalanx/internal/site"
	"phalanx/internal/systest"
	"phalanx/internal/website"
)

// opening is a site that calls opened when it has opened a file.
type opening struct {
	conn.Site
	opened func(path string)
}

func (o *opening) Open(path []byte, codings proto.Codings, access *proto.Access) (conn.File, proto.Status) {
	f, status := o.Site.Open(path, codings, access)
	if o.opened != nil {
		o.opened(string(path))
	}
	return f, status
}

func relayConfig(files conn.Site) serve.Config {
	began := time.Now()
	return serve.Config{
		Recv: 4096, Log: zerolog.Nop(), Clock: func() (time.Time, time.Duration) { return began, time.Hour },
		Conn: conn.Config{Site: files, Server: "test", KeepAlive: time.Minute, Expires: time.Hour},
	}
}

// The last bytes of a file are sent together with the following responses. A worker that is killed before, during or
// after that leaves correct records.
func TestRescueTail(t *testing.T) {
	dir := t.TempDir()
	large := servetest.Noise(t, dir+"/large", 100_000)
	servetest.Noise(t, dir+"/next", 50_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	files := &opening{Site: uncachedFiles(t, dir)}
	r := newRelay(t, relayConfig(files), listener, addr, servetest.Get("/large")+servetest.Get("/next"))
	defer r.close()
	killed := false
	files.opened = func(path string) {
		if path != "/next" {
			return
		}
		killed = true
		received, sent, err := rescue.Count(r.fd)
		if err != nil {
			t.Fatal(err)
		}
		reader := rescue.NewReader(r.memory)
		f := reader.Find(r.fd, received, sent)
		if f.Verdict != rescue.GoesOn {
			t.Errorf("killed at this point, the connection could not be rescued: verdict %v", f.Verdict)
		}
		if f.Rest > 0 && inode(t, f.File) != name(t, dir+"/large") {
			t.Errorf("killed at this point, %d bytes of another file would be sent", f.Rest)
		}
	}
	for len(r.got) < len(large) {
		r.write(1 << 16)
		r.l.sendReady()
		r.read(3000)
	}
	if !killed {
		t.Fatal("the next file was not opened")
	}
	r.kill()
	if got := r.finish(); !bytes.Contains(got, large) {
		t.Error("the client received other bytes")
	}
}

// inMemory waits until the cache keeps the body of a file in memory.
func inMemory(t *testing.T, files conn.Site, path string) {
	t.Helper()
	systest.Await(t, "the file in memory", func() bool {
		f, status := files.Open([]byte(path), proto.Codings{}, new(proto.Access))
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		defer f.Close()
		return f.Body() != nil
	})
}

// Whatever the rate of a connection, a body from memory is sent together with its head, because no other worker could
// send it. The next response is delayed instead.
func TestRescueRatedFromMemory(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/small", 100)
	servetest.Noise(t, dir+"/middle", 2000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	files := cachedFiles(t, dir)
	inMemory(t, files, "/small")
	inMemory(t, files, "/middle")
	cfg := relayConfig(files)
	cfg.Rate = serve.Rate{Bytes: 300}
	sizes := []int{100, 2000, 100, 2000}
	r := newRelay(t, cfg, listener, addr, requests([]byte{0, 1, 0, 1}))
	defer r.close()
	r.write(1 << 16)
	for i, size := range sizes {
		before := len(r.got)
		systest.Await(t, "a response", func() bool {
			r.read(1 << 16)
			return len(r.got) >= before+size // perhaps in several segments
		})
		if n := len(r.got) - before; n > size+500 {
			t.Errorf("response %d: %d bytes arrived at once, want its head and a body of %d", i, n, size)
		}
		r.kill()
		r.l.now.Mono += time.Minute
		r.l.unthrottle()
		r.l.sendReady()
	}
}

// Pipelined responses with bodies from memory can be continued by another worker at any point.
func TestRescuePipelineFromMemory(t *testing.T) {
	dir := t.TempDir()
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	files := cachedFiles(t, dir)
	lengths := [12]int{}
	for i := range lengths {
		lengths[i] = 1000 + i*25
		servetest.Noise(t, fmt.Sprint(dir, "/", lengths[i]), lengths[i])
	}
	for _, length := range lengths {
		path := fmt.Sprint("/", length)
		inMemory(t, files, path)
		r := newRelay(t, relayConfig(files), listener, addr, strings.Repeat(servetest.Get(path), 200))
		for r.write(1 << 16); len(r.got) < 200*length; r.read(3000) {
			r.l.sendReady()
			received, sent, err := rescue.Count(r.fd)
			if err != nil {
				t.Fatal(err)
			}
			if f := rescue.NewReader(r.memory).Find(r.fd, received, sent); f.Verdict != rescue.GoesOn {
				t.Fatalf("files of %d bytes: verdict %v after %d bytes", length, f.Verdict, sent)
			}
		}
		r.close()
	}
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func name(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return inode(t, int(f.Fd()))
}

// A file that the previous worker was sending on several connections needs one descriptor only.
func TestSharedFile(t *testing.T) {
	dir := t.TempDir()
	open := func() int {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	isOpen := func(fd int) bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil
	}
	var l Loop
	first, copied := open(), open()
	one, other := l.fileOf(first), l.fileOf(copied)
	if one.Fd() != first || other.Fd() != first || isOpen(copied) {
		t.Errorf("descriptors %d and %d, want only %d", one.Fd(), other.Fd(), first)
	}
	if one.Close(); !isOpen(first) {
		t.Error("the file was closed while the other connection uses it")
	}
	if other.Close(); isOpen(first) {
		t.Error("the file was not closed")
	}
	again := l.fileOf(open())
	if !isOpen(again.Fd()) {
		t.Error("a closed file is shared")
	}
	if another := l.fileOf(duplicate(t, 0)); another == again {
		t.Error("a different file is shared")
	} else {
		another.Close()
	}
	again.Close()
}

// A connection whose descriptor number is beyond the records is served, but cannot be rescued.
func TestServesBeyondRecords(t *testing.T) {
	dir := t.TempDir()
	large := servetest.Noise(t, dir+"/large", 100_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	r := newRelayOf(t, 1, relayConfig(uncachedFiles(t, dir)), listener, addr, strings.Repeat(servetest.Get("/large"), 3))
	defer r.close()
	if got := r.finish(); bytes.Count(got, large) != 3 {
		t.Errorf("the client received %d bytes, want three files", len(got))
	}
	received, sent, err := rescue.Count(r.fd)
	if err != nil {
		t.Fatal(err)
	}
	if f := rescue.NewReader(r.memory).Find(r.fd, received, sent); f.Verdict == rescue.GoesOn {
		t.Errorf("the connection could be rescued: %+v", f)
	}
}

// The time in which a connection waits for its rate does not count for the minimum rate, and no other time is left out:
// a client that reads too slowly is still disconnected.
func TestMinimumRateWithRate(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/large", 300_000)
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	files := uncachedFiles(t, dir)
	for _, tt := range []struct {
		least, take int
		over        bool
	}{{500, 2000, true}, {5000, 1 << 16, false}} {
		cfg := relayConfig(files)
		cfg.Rate, cfg.Conn.MinRate = serve.Rate{Bytes: 1000}, tt.least
		r := newRelay(t, cfg, listener, addr, servetest.Get("/large"))
		r.write(1 << 16)
		for i := 1; i <= 4*45*10 && !r.over(); i++ { // tenths of a second
			if !tt.over || i%450 == 0 {
				r.read(tt.take)
			}
			r.l.now.Mono += serve.RateTick
			r.l.unthrottle()
			r.l.sendReady()
			r.l.sendReady() // it has used its allowance, and waits
			r.l.expire()
		}
		if r.over() != tt.over {
			t.Errorf("minimum rate %d, reading %d bytes at once: disconnected %v, want %v", tt.least, tt.take, r.over(), tt.over)
		}
		r.close()
	}
}

// openRoot opens a directory until the end of the test.
func openRoot(t testing.TB, dir string) *site.Root {
	t.Helper()
	root, err := site.Open(dir, site.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}

// uncachedFiles returns a site of a directory's files.
func uncachedFiles(t testing.TB, dir string) conn.Site {
	t.Helper()
	return website.Uncached(openRoot(t, dir))
}

// cachedFiles returns a site of a directory's files, with a cache.
func cachedFiles(t *testing.T, dir string) conn.Site {
	t.Helper()
	root := openRoot(t, dir)
	cache := site.NewCache(root, time.Hour, 10)
	t.Cleanup(cache.Close)
	return website.Cached(root, cache)
}
