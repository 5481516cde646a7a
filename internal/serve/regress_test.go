package serve

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The deadline of an earlier wait must not end a later reply.
func TestLaterReplyIsNotTimedOut(t *testing.T) {
	eachWay(t, func(t *testing.T, way int) {
		dir := t.TempDir()
		big := noise(t, dir+"/big", 16<<20)
		noise(t, dir+"/small", 100)
		s := start(t, way, dir, nil)
		c := s.dial()
		send(t, c, get("/big"))
		time.Sleep(100 * time.Millisecond) // the socket fills: the worker waits
		r := bufio.NewReader(c)
		if _, body := receive(t, r); !bytes.Equal(body, big) {
			t.Fatalf("%d bytes of %d arrived", len(body), len(big))
		}
		time.Sleep(lookEvery + 200*time.Millisecond)
		send(t, c, get("/small", "Connection: close"))
		if res, body := receive(t, r); res.StatusCode != 200 || len(body) != 100 {
			t.Errorf("%s with %d bytes", res.Status, len(body))
		}
		c.Close()
		s.stop()
	})
}

// Stray bytes before the client's end must not reset the rest of the reply.
func TestStrayBytesAndEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, way int) {
		dir := t.TempDir()
		big := noise(t, dir+"/big", 16<<20)
		s := start(t, way, dir, nil)
		c := s.dial()
		send(t, c, get("/big", "Connection: close"))
		time.Sleep(50 * time.Millisecond)
		send(t, c, "\r\n")
		c.CloseWrite()
		time.Sleep(50 * time.Millisecond)
		if _, body := receive(t, bufio.NewReader(c)); !bytes.Equal(body, big) {
			t.Errorf("%d bytes of %d arrived", len(body), len(big))
		}
		c.Close()
		s.stop()
	})
}

// Lingering ends, whatever the client goes on to send.
func TestLingerEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, way int) {
		s := start(t, way, t.TempDir(), func(cfg *Config) { cfg.Recv = 16 })
		c := s.dial()
		send(t, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
		began := time.Now()
		junk := []byte(strings.Repeat("x", 4096))
		for time.Since(began) < 8*time.Second {
			if _, err := c.Write(junk); err != nil {
				break
			}
		}
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("the connection still lived after %v", took)
		}
		c.Close()
		s.stop()
	})
}

// A worker that is drained alone has nothing more to do with the socket, which
// lives on elsewhere.
func TestDrainedAloneLeavesTheSocket(t *testing.T) {
	dir := t.TempDir()
	noise(t, dir+"/f", 4<<20)
	fd, addr := listen(t)
	kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	s := startWith(t, dir, fd, addr, func(cfg Config, fd int, drain <-chan struct{}) error {
		l, err := NewLoop(cfg)
		if err != nil {
			return err
		}
		return l.Run(fd, drain)
	}, func(cfg *Config) { cfg.Leave = func() Leaving { return Leaving{Kept: true} } })
	c := s.dial()
	send(t, c, get("/f"))
	r := bufio.NewReader(c)
	if _, err := r.Peek(1); err != nil {
		t.Fatal(err)
	}
	s.drain()
	if _, err := r.Peek(r.Size()); err != nil && err != bufio.ErrBufferFull {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // more than a turn of the loop
	waiting := s.dial()               // in the queue that is not this worker's any more
	before := cpuTime(t)
	time.Sleep(200 * time.Millisecond)
	if spent := cpuTime(t) - before; spent > 100*time.Millisecond {
		t.Errorf("the loop used %v of CPU in 200ms while it had nothing to do", spent)
	}
	waiting.Close()
	if n, err := io.Copy(io.Discard, io.LimitReader(r, 4<<20)); err != nil || n != 4<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.Close()
	s.wait()
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
