package eventloop

import (
	"bytes"
	"os"
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
	"phalanx/internal/website"
)

// opening is a site that says when it has opened a file.
type opening struct {
	conn.Site
	opened func(path string)
}

func (o *opening) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := o.Site.Open(path, codings)
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

// The last bytes of a file are sent with the responses that follow: a worker that is
// killed before, meanwhile or after has not lost count.
func TestRescueTail(t *testing.T) {
	dir := t.TempDir()
	large := servetest.Noise(t, dir+"/large", 100_000)
	servetest.Noise(t, dir+"/next", 50_000)
	root, err := site.Open(dir, site.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	listener, addr := servetest.Listen(t)
	defer unix.Close(listener)
	files := &opening{Site: website.Uncached(root)}
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
			t.Errorf("killed here, the connection would not go on: verdict %v", f.Verdict)
		}
		if f.Rest > 0 && inode(t, f.File) != name(t, dir+"/large") {
			t.Errorf("killed here, %d bytes of another file would be sent", f.Rest)
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
		t.Error("other bytes came")
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
