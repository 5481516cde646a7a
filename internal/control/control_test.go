package control

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// bench is a Control without a worker, and the master's end of its channel.
type bench struct {
	*Control
	signals chan os.Signal
	master  *ipc.Channel
	end     *os.File // the worker's end, for what no channel would send
	refused int      // read once drain is closed
}

func newBench(t *testing.T) *bench {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := ipc.Open(uintptr(fds[0]))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unix.Dup(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	master, err := ipc.Open(uintptr(fds[1]))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{signals: make(chan os.Signal, 1), master: master, end: os.NewFile(uintptr(raw), "master's end")}
	b.Control = New(channel, Config{
		Signals:  b.signals,
		Refusing: func() bool { return false },
		Refuse: func() error {
			b.refused++
			return errors.New("not to be had")
		},
	})
	t.Cleanup(func() {
		master.Close()
		b.end.Close()
		channel.Close()
	})
	return b
}

// stop ends it as its worker does.
func (b *bench) stop() {
	close(b.signals)
	b.Stop()
}

// dies is the master's death.
func (b *bench) dies() {
	b.end.Close()
	b.master.Close()
}

// said collects what the worker has sent.
func (b *bench) said(t *testing.T) []ipc.Message {
	t.Helper()
	if err := b.master.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var all []ipc.Message
	for {
		m, err := b.master.Receive()
		if err != nil {
			return all
		}
		all = append(all, m)
	}
}

// Drained by hand, a worker says so, once, and leaves the listening socket as
// it is: another will use it.
func TestDrainBySignal(t *testing.T) {
	b := newBench(t)
	if err := b.master.Send(ipc.Serve{}); err != nil {
		t.Fatal(err)
	}
	if !b.Await() {
		t.Error("no request may be taken")
	}
	for range 3 {
		b.signals <- syscall.SIGINT
	}
	<-b.Drain()
	if got := b.said(t); len(got) != 1 || got[0] != (ipc.Draining{}) {
		t.Errorf("the master heard %v, want that it drains", got)
	}
	b.dies() // which changes nothing any more
	close(b.signals)
	b.readers.Wait()
	if b.refused > 0 {
		t.Error("new connections are refused")
	}
}

// A worker that is to end before it was allowed to serve does not serve, unless
// that word had been on its way.
func TestAwait(t *testing.T) {
	b := newBench(t)
	b.signals <- syscall.SIGINT
	<-b.Drain()
	if b.Await() {
		t.Error("requests may be taken")
	}
	b.stop()

	b = newBench(t)
	b.signals <- syscall.SIGINT
	<-b.Drain()
	if err := b.master.Send(ipc.Serve{}); err != nil {
		t.Fatal(err)
	}
	<-b.granted
	if !b.Await() {
		t.Error("no request may be taken")
	}
	b.stop()
}

// When the master is gone nobody will use the listening socket again.
func TestDrainByDeath(t *testing.T) {
	b := newBench(t)
	b.dies()
	<-b.Drain()
	if b.refused != 1 {
		t.Errorf("new connections were refused %d times, want once", b.refused)
	}
	b.stop()
}

// A master that cannot be understood is not gone.
func TestDrainByGarbage(t *testing.T) {
	b := newBench(t)
	if _, err := b.end.Write([]byte("garbage")); err != nil {
		t.Fatal(err)
	}
	<-b.Drain()
	if got := b.said(t); b.refused > 0 || len(got) != 1 || got[0] != (ipc.Draining{}) {
		t.Errorf("the master heard %v; new connections were refused %d times", got, b.refused)
	}
	b.stop()
}

// A worker that ends for a reason of its own leaves its slot's socket to the
// next one, and says nothing of draining.
func TestStop(t *testing.T) {
	b := newBench(t)
	b.stop()
	select {
	case <-b.Drain():
		t.Error("it drains")
	default:
	}
	if got := b.said(t); b.refused > 0 || len(got) > 0 {
		t.Errorf("the master heard %v; new connections were refused %d times", got, b.refused)
	}
}

// Retired, it knows what to do with its connections and its queue, and says
// nothing of draining: the master knows.
func TestRetire(t *testing.T) {
	for _, queue := range []bool{false, true} {
		b := newBench(t)
		giver, taker, err := ipc.Bequest()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.master.SendFile(ipc.Retire{Queue: queue}, giver); err != nil {
			t.Fatal(err)
		}
		unix.Close(giver)
		unix.Close(<-b.Heirs())
		<-b.Drain()
		if b.Leaving().Kept == queue || b.Leaving().Steered != queue || !b.Leaving().Giving {
			t.Errorf("queue %v: leaving is %+v", queue, b.Leaving())
		}
		if n, err := unix.Read(taker, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the other end reads %d, %v, want the end", n, err)
		}
		unix.Close(taker)
		if got := b.said(t); len(got) > 0 {
			t.Errorf("the master heard %v", got)
		}
		b.signals <- syscall.SIGINT // the pool ends meanwhile
		<-b.Finish()
		b.stop()
	}
}

// A bequest goes to the loop.
func TestAdopt(t *testing.T) {
	b := newBench(t)
	giver, taker, err := ipc.Bequest()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.master.SendFile(ipc.Adopt{}, taker); err != nil {
		t.Fatal(err)
	}
	unix.Close(taker)
	unix.Close(<-b.Legacies())
	if err := ipc.Give(giver, []byte("x"), giver, -1); err != unix.EPIPE {
		t.Errorf("giving to nobody: %v", err)
	}
	unix.Close(giver)
	b.stop()
}
