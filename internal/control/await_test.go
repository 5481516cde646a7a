package control

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// A worker that is told to drain before it may serve does not serve, unless the message
// that permits it is already in the channel.
func TestAwait(t *testing.T) {
	b := newBench(t)
	b.signals <- syscall.SIGINT
	<-b.drained
	if b.Await() {
		t.Error("requests may be taken")
	}
	b.stop()

	b = newBench(t)
	b.signals <- syscall.SIGINT
	<-b.drained
	if err := b.master.Send(ipc.Serve{}); err != nil {
		t.Fatal(err)
	}
	<-b.granted
	if !b.Await() {
		t.Error("requests may not be taken")
	}
	b.stop()
}

// A worker that handles its messages slowly does not exit before it has handled all.
func TestAwaitPending(t *testing.T) {
	for name, messages := range map[string][]ipc.Message{
		"received": {ipc.Serve{}},
		"unread":   {ipc.Show{}, ipc.Serve{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.signals <- syscall.SIGINT
			<-b.drained
			b.mu.Lock() // as while it takes connections over
			allowed := b.waits(t)
			for _, m := range messages {
				if err := b.master.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(50 * time.Millisecond) // the first is received, and Await decides before it is handled
			b.mu.Unlock()
			if !<-allowed {
				t.Error("requests may not be taken")
			}
			b.stop()
		})
	}
}

// waits calls Await, which must not return yet.
func (b *bench) waits(t *testing.T) (allowed chan bool) {
	t.Helper()
	allowed = make(chan bool, 1)
	go func() { allowed <- b.Await() }()
	time.Sleep(300 * time.Millisecond)
	if len(allowed) > 0 {
		t.Error("the worker does not wait")
	}
	return allowed
}

// A worker that has taken over connections and is told to drain waits until it may serve them,
// unless the master can say nothing any more: then nobody else can.
func TestAwaitAfterRescue(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *bench){
		"allowed": func(t *testing.T, b *bench) {
			if err := b.master.Send(ipc.Serve{}); err != nil {
				t.Fatal(err)
			}
		},
		"alone": func(_ *testing.T, b *bench) { b.dies() },
		"deaf": func(t *testing.T, b *bench) { // after an invalid message
			if _, err := b.end.Write([]byte{0xff}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.OnRescue(func(channel int, _ ipc.Blame) (ipc.Rescued, error) {
				return ipc.Rescued{Connections: 4}, unix.Close(channel)
			})
			if err := b.master.SendFile(ipc.Rescue{}, int(b.end.Fd())); err != nil {
				t.Fatal(err)
			}
			if m, err := b.master.Receive(); err != nil || m != (ipc.Rescued{Connections: 4}) {
				t.Fatalf("received %v, %v", m, err)
			}
			b.signals <- syscall.SIGINT
			<-b.drained
			allowed := b.waits(t)
			end(t, b)
			if !<-allowed {
				t.Error("the connections may not be served")
			}
			b.stop()
		})
	}
}

// A worker that exits without having served takes no connections over any more.
func TestNoRescueAfterAwait(t *testing.T) {
	b := newBench(t)
	b.OnRescue(func(int, ipc.Blame) (ipc.Rescued, error) {
		t.Error("connections are taken over")
		return ipc.Rescued{}, nil
	})
	b.signals <- syscall.SIGINT
	<-b.drained
	if b.Await() {
		t.Error("requests may be taken")
	}
	if err := b.master.SendFile(ipc.Rescue{}, int(b.end.Fd())); err != nil {
		t.Fatal(err)
	}
	for b.channel.Pending() {
		time.Sleep(time.Millisecond)
	}
	b.stop()
}
