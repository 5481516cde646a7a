package ipc

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns both ends. The worker's is opened as its process does.
func pair(t *testing.T) (master, worker *Channel) {
	t.Helper()
	master, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	worker, err = Open(uintptr(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); worker.Close() })
	return master, worker
}

func receive(t *testing.T, c *Channel, want Message) {
	t.Helper()
	if got, err := c.Receive(); err != nil || got != want {
		t.Fatalf("received %+v, %v, want %+v", got, err, want)
	}
}

func send(t *testing.T, c *Channel, m Message) {
	t.Helper()
	if err := c.Send(m); err != nil {
		t.Fatal(err)
	}
}

func TestExchange(t *testing.T) {
	master, worker := pair(t)
	send(t, worker, Ready{PID: 7, Version: "v"})
	send(t, worker, Failed{ExitCode: 1, Reason: strings.Repeat("r", 2*MaxMessage)})
	send(t, master, Serve{})
	receive(t, worker, Serve{})
	receive(t, master, Ready{PID: 7, Version: "v"})
	receive(t, master, Failed{ExitCode: 1, Reason: strings.Repeat("r", MaxMessage-2)})
	if err := worker.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := master.Receive(); err != io.EOF {
		t.Errorf("after the other side closed: %v, %v", m, err)
	}
	if err := master.Send(Serve{}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("send without a receiver: %v", err)
	}
}

// A message is pending until its receiver asks for the next one.
func TestPending(t *testing.T) {
	master, worker := pair(t)
	want := func(when string, want bool) {
		t.Helper()
		if worker.Pending() != want {
			t.Errorf("%s: pending %t, want %t", when, !want, want)
		}
	}
	want("at first", false)
	send(t, master, Serve{})
	want("not received", true)
	receive(t, worker, Serve{})
	want("received", true)
	worker.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := worker.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	want("handled", false)
	worker.SetReadDeadline(time.Time{})
	master.Close()
	if _, err := worker.Receive(); err != io.EOF {
		t.Fatal(err)
	}
	want("the end", false)
}

// A worker may die before it has read everything. Its own last message must arrive
// nevertheless.
func TestLastMessageSurvivesReset(t *testing.T) {
	master, worker := pair(t)
	send(t, master, Serve{})
	send(t, worker, Failed{ExitCode: 78, Reason: "no root"})
	worker.Close()
	receive(t, master, Failed{ExitCode: 78, Reason: "no root"})
	if _, err := master.Receive(); err != io.EOF {
		t.Errorf("then: %v", err)
	}
}

func TestCloseWakesReceive(t *testing.T) {
	master, _ := pair(t)
	done := make(chan error, 1)
	go func() {
		_, err := master.Receive()
		done <- err
	}()
	master.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
}

func TestReadDeadline(t *testing.T) {
	master, worker := pair(t)
	send(t, worker, Serve{})
	expire := func(in time.Duration) {
		if err := master.SetReadDeadline(time.Now().Add(in)); err != nil {
			t.Fatal(err)
		}
	}
	expire(time.Minute)
	receive(t, master, Serve{})
	expire(50 * time.Millisecond)
	if _, err := master.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Receive past its deadline: %v", err)
	}
}

func TestSendNeverWaits(t *testing.T) {
	master, _ := pair(t)
	for range 100_000 {
		if err := master.Send(Serve{}); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Errorf("send to a full channel: %v", err)
			}
			return
		}
	}
	t.Error("the channel is never full")
}

// A message that has to arrive waits for room, and fails when there will be none.
func TestSendWait(t *testing.T) {
	for what, c := range map[string]struct {
		end   func(from, to *Channel, messages int) error
		fails bool
	}{
		"the other side reads": {func(_, to *Channel, messages int) (err error) {
			for ; messages > 0 && err == nil; messages-- {
				_, err = to.Receive()
			}
			return err
		}, false},
		"the other side closes": {func(_, to *Channel, _ int) error { return to.Close() }, true},
		"this side closes":      {func(from, _ *Channel, _ int) error { return from.Close() }, true},
	} {
		from, to := pair(t)
		messages := 0
		for ; from.Send(Serve{}) == nil; messages++ {
		}
		sent := make(chan error, 1)
		go func() { sent <- from.SendWait(Serve{}) }()
		select {
		case err := <-sent:
			t.Errorf("%s: before that, it was sent: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
		if err := c.end(from, to, messages); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; (err != nil) != c.fails {
			t.Errorf("%s: sent with error %v", what, err)
		}
	}
}

func TestTooLong(t *testing.T) {
	master, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer file.Close()
	if _, err := file.Write(make([]byte, MaxMessage+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := master.Receive(); err == nil || !strings.Contains(err.Error(), "exceeds 4096 bytes") {
		t.Errorf("too long a message: %v", err)
	}
}

func TestDescriptorFlags(t *testing.T) {
	master, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer file.Close()
	for _, f := range []*os.File{master.file, file} {
		status, err1 := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		flags, err2 := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if status&unix.O_NONBLOCK == 0 || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("status %#x, flags %#x: want O_NONBLOCK and FD_CLOEXEC", status, flags)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Open(f.Fd()); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("Open of a file: %v", err)
	}
	if _, err := Open(1 << 20); !errors.Is(err, unix.EBADF) {
		t.Errorf("Open of a closed descriptor: %v", err)
	}
}
