package eventloop

import (
	"bufio"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// A worker that is drained because it is replaced leaves the listening socket alone: connections in its accept
// queue do not keep the loop busy.
func TestDrainedAloneLeavesTheSocket(t *testing.T) {
	dir := t.TempDir()
	servetest.Noise(t, dir+"/f", 4<<20)
	fd, addr := servetest.Listen(t)
	kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	s := servetest.StartOn(t, dir, fd, addr, run, nil)
	c := s.DialWith(servetest.Get("/f"))
	r := bufio.NewReader(c)
	if _, err := r.Peek(1); err != nil {
		t.Fatal(err)
	}
	s.Order(serve.Drain{Kept: true})
	if _, err := r.Peek(r.Size()); err != nil && err != bufio.ErrBufferFull {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // more than a turn of the loop
	waiting := s.Dial()               // in the accept queue of the socket that this worker has left
	before := cpuTime(t)
	time.Sleep(200 * time.Millisecond)
	if spent := cpuTime(t) - before; spent > 100*time.Millisecond {
		t.Errorf("the draining loop used %v of CPU time in 200ms, want at most 100ms", spent)
	}
	waiting.Close()
	if n, err := io.Copy(io.Discard, io.LimitReader(r, 4<<20)); err != nil || n != 4<<20 {
		t.Errorf("the download has %d bytes, error %v", n, err)
	}
	c.Close()
	s.Wait()
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
