package serve

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While a file is waited for that is not in memory, the other connections of
// the worker are served: the disk of this test takes as long as the test
// wants.
func TestSlowDisk(t *testing.T) {
	dir := t.TempDir()
	cold := noise(t, dir+"/cold", 3*quantum+5)
	small := noise(t, dir+"/small", 1000)
	noise(t, dir+"/warm", 1000)
	asked, answer := make(chan int64, 64), make(chan bool)
	s := startLoop(t, dir, func(l *Loop) {
		l.disk.resident = func(fd int, off, n int64) bool { return isWarm(fd) }
		l.disk.bring = func(fd int, off, n int64) {
			asked <- off
			<-answer
		}
	})
	slow, tiny, quick := s.dial(), s.dial(), s.dial()
	defer quick.Close()
	send(t, slow, get("/cold"))
	send(t, tiny, get("/small"))
	<-asked
	<-asked
	r := bufio.NewReader(quick)
	for range 100 {
		send(t, quick, get("/warm"))
		if res, _ := receive(t, r); res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
	}
	close(answer) // from now on the disk is quick
	if _, body := receive(t, bufio.NewReader(slow)); !bytes.Equal(body, cold) {
		t.Errorf("%d bytes of the large file arrived", len(body))
	}
	if _, body := receive(t, bufio.NewReader(tiny)); !bytes.Equal(body, small) {
		t.Errorf("%d bytes of the small file arrived", len(body))
	}
	slow.Close()
	tiny.Close()
	s.stop()
}

// A client that goes away while the disk is waited for leaves nothing behind.
func TestSlowDiskClientGoes(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/cold", 1<<20)
	asked, answer := make(chan bool, 8), make(chan bool)
	s := startLoop(t, dir, func(l *Loop) {
		l.disk.resident = func(int, int64, int64) bool { return false }
		l.disk.bring = func(int, int64, int64) {
			asked <- true
			<-answer
		}
	})
	c := s.dial()
	send(t, c, get("/cold"))
	<-asked
	c.SetLinger(0)
	c.Close()
	time.AfterFunc(50*time.Millisecond, func() { close(answer) })
	s.stop()
}

func startLoop(t *testing.T, dir string, change func(*Loop)) *server {
	t.Helper()
	fd, addr := listen(t)
	return startWith(t, dir, fd, addr, func(cfg Config, fd int, drain <-chan struct{}) error {
		l, err := NewLoop(cfg)
		if err != nil {
			return err
		}
		change(l)
		return l.Run(fd, drain)
	}, nil)
}

// isWarm tells the file "warm" from the others by its name.
func isWarm(fd int) bool {
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && strings.HasSuffix(name, "/warm")
}

// What the kernel says of a file that was dropped from memory, and after it
// was brought back.
func TestResident(t *testing.T) {
	path := t.TempDir() + "/f"
	noise(t, path, 4<<20)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if !resident(fd, 0, 4<<20) {
		t.Error("a file that was just written is not in memory")
	}
	if err := unix.Fsync(fd); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(fd, 0, 4<<20, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Preadv2(fd, [][]byte{make([]byte, 1)}, 0, unix.RWF_NOWAIT); err != unix.EAGAIN {
		t.Logf("this file system cannot say what is in memory, or holds it always: %v", err)
		return
	}
	if resident(fd, 0, 256<<10) {
		t.Error("a file that was dropped is still in memory")
	}
	bring(fd, 0, 256<<10)
	if !resident(fd, 0, 256<<10) {
		t.Error("what was brought is not in memory")
	}
}
