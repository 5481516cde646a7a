package control

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/serve"
	"phalanx/internal/systest"
)

// bench is a Control without a worker, and the master's end of its channel.
type bench struct {
	*Control
	signals chan os.Signal
	master  *ipc.Channel
	end     *os.File // the worker's end, for what no channel would send
	refused int      // read once a drain has been ordered
	woken   chan struct{}
}

func newBench(t *testing.T) *bench { return newBenchWith(t, func(*Config) {}) }

// newBenchWith is newBench with a changed configuration.
func newBenchWith(t *testing.T, change func(*Config)) *bench {
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
	cfg := Config{
		Signals:  b.signals,
		Refusing: func() bool { return false },
		Refuse: func() error {
			b.refused++
			return errors.New("not to be had")
		},
	}
	change(&cfg)
	b.Control = New(channel, cfg)
	b.woken = make(chan struct{}, 1)
	b.Orders().Start(func() {
		select {
		case b.woken <- struct{}{}:
		default:
		}
	})
	t.Cleanup(func() {
		master.Close()
		b.end.Close()
		channel.Close()
	})
	return b
}

// next waits for an order.
func (b *bench) next(t *testing.T) serve.Order {
	t.Helper()
	for {
		if o, ok := b.Orders().Take(); ok {
			return o
		}
		select {
		case <-b.woken:
		case <-time.After(time.Minute):
			t.Fatal("no order arrived")
		}
	}
}

// want waits for an order and compares it.
func (b *bench) want(t *testing.T, want serve.Order) {
	t.Helper()
	if got := b.next(t); got != want {
		t.Fatalf("the order is %#v, want %#v", got, want)
	}
}

// stop stops the Control as its worker does.
func (b *bench) stop() {
	close(b.signals)
	b.Stop()
}

// dies closes the master's end, as its death does.
func (b *bench) dies() {
	b.end.Close()
	b.master.Close()
}

// received waits for the messages that the master has to receive, and a moment for others.
func (b *bench) received(t *testing.T, want ...ipc.Message) {
	t.Helper()
	var all []ipc.Message
	for wait := time.Minute; ; {
		if len(all) >= len(want) {
			wait = 50 * time.Millisecond
		}
		if err := b.master.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		m, err := b.master.Receive()
		if err != nil {
			break
		}
		all = append(all, m)
	}
	if !slices.Equal(all, want) {
		t.Errorf("the master received %v, want %v", all, want)
	}
}

// A worker that is drained by a signal reports it once, and leaves the listening socket as
// it is: another worker will use it.
func TestDrainBySignal(t *testing.T) {
	b := newBench(t)
	if err := b.master.Send(ipc.Serve{}); err != nil {
		t.Fatal(err)
	}
	if !b.Await() {
		t.Error("requests may not be taken")
	}
	for range 3 {
		b.signals <- syscall.SIGINT
	}
	b.want(t, serve.Drain{Kept: true})
	b.want(t, serve.Drain{})
	b.received(t, ipc.QueueLeft{}, ipc.Draining{})
	b.dies() // which changes nothing any more
	close(b.signals)
	b.readers.Wait()
	if o, ok := b.Orders().Take(); ok {
		t.Errorf("unexpected order %#v", o)
	}
	if b.refused > 0 {
		t.Error("new connections are refused")
	}
}

// When the master has died, nobody will use the listening socket again.
func TestDrainByDeath(t *testing.T) {
	b := newBench(t)
	b.dies()
	b.want(t, serve.Drain{})
	if b.refused != 1 {
		t.Errorf("new connections were refused %d times, want once", b.refused)
	}
	b.stop()
}

// A master that sends invalid messages has not died.
func TestDrainByGarbage(t *testing.T) {
	b := newBench(t)
	if _, err := b.end.Write([]byte("garbage")); err != nil {
		t.Fatal(err)
	}
	b.want(t, serve.Drain{Kept: true})
	if b.received(t, ipc.QueueLeft{}, ipc.Draining{}); b.refused > 0 {
		t.Errorf("new connections were refused %d times", b.refused)
	}
	b.stop()
}

// A worker that drains for a reason of its own leaves its slot's socket to the next worker,
// and does not report a drain.
func TestStop(t *testing.T) {
	b := newBench(t)
	b.stop()
	if o, ok := b.Orders().Take(); ok {
		t.Errorf("unexpected order %#v", o)
	}
	if b.received(t); b.refused > 0 {
		t.Errorf("new connections were refused %d times", b.refused)
	}
}

// A worker that the master drains is told what to do with its connections and its queue,
// and does not report the drain.
func TestDrainByMessage(t *testing.T) {
	for _, queue := range []bool{false, true} {
		b := newBench(t)
		from, to, err := ipc.Handover()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.master.SendFile(ipc.Drain{Queue: queue}, from); err != nil {
			t.Fatal(err)
		}
		unix.Close(from)
		b.want(t, serve.Drain{Kept: !queue, Steered: queue, HandOver: true})
		if !b.Draining() {
			t.Error("the worker does not drain")
		}
		unix.Close(b.next(t).(serve.HandOver).FD)
		if n, err := unix.Read(to, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the other end reads %d, %v, want the end", n, err)
		}
		unix.Close(to)
		b.received(t)
		b.signals <- syscall.SIGINT // the pool ends meanwhile
		b.want(t, serve.Drain{})
		b.stop()
	}
}

// Messages of the master arrive in their order, and its death comes last.
func TestOrdersKeepTheirOrder(t *testing.T) {
	b := newBench(t)
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, message := range []struct {
		m  ipc.Message
		fd int
	}{
		{ipc.Show{ID: 1}, int(null.Fd())}, {ipc.TakeOver{}, to}, {ipc.Show{ID: 2}, int(null.Fd())},
		{ipc.Drain{Queue: true}, from}, {ipc.Drain{}, from}, {ipc.Show{ID: 3}, int(null.Fd())},
	} {
		if err := b.master.SendFile(message.m, message.fd); err != nil {
			t.Fatal(err)
		}
	}
	unix.Close(from)
	unix.Close(to)
	b.dies()
	list := func() { close(b.next(t).(serve.List).Reply) }
	list()
	unix.Close(b.next(t).(serve.TakeOver).FD)
	list()
	b.want(t, serve.Drain{Steered: true, HandOver: true})
	unix.Close(b.next(t).(serve.HandOver).FD)
	unix.Close(b.next(t).(serve.HandOver).FD)
	list()
	b.want(t, serve.Drain{})
	if b.refused > 0 {
		t.Error("new connections are refused although another worker accepts them")
	}
	b.stop()
}

// A worker without a free descriptor continues to serve when its connections are requested.
func TestNoFreeDescriptorForList(t *testing.T) {
	b := newBench(t)
	restore := systest.FullTable(t, 0)
	sent := errors.Join(b.master.SendFile(ipc.Show{ID: 1}, int(b.end.Fd())), b.master.Send(ipc.Serve{}))
	select {
	case <-b.granted:
	case <-b.drained:
		t.Error("the worker drains")
	case <-time.After(time.Minute):
		t.Error("the worker receives nothing more")
	}
	restore()
	if sent != nil {
		t.Fatal(sent)
	}
	if o, ok := b.Orders().Take(); ok {
		t.Errorf("the order is %#v, want none", o)
	}
	b.stop()
}

// A handover channel is passed to the engine.
func TestTakeOver(t *testing.T) {
	b := newBench(t)
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.master.SendFile(ipc.TakeOver{}, to); err != nil {
		t.Fatal(err)
	}
	unix.Close(to)
	unix.Close(b.next(t).(serve.TakeOver).FD)
	if err := ipc.SendConnection(from, []byte("x"), from, -1); err != unix.EPIPE {
		t.Errorf("handing over without a receiver: %v", err)
	}
	unix.Close(from)
	b.stop()
}

// When the master has died, a socket that another process keeps open is left as it is.
func TestForeignSocket(t *testing.T) {
	b := newBenchWith(t, func(cfg *Config) { cfg.Refuse = nil })
	b.dies()
	b.want(t, serve.Drain{Kept: true})
	b.stop()
	b = newBenchWith(t, func(cfg *Config) { cfg.Refuse = nil })
	b.signals <- syscall.SIGTERM
	b.want(t, serve.Drain{Kept: true})
	b.received(t, ipc.Draining{})
	b.stop()
}
