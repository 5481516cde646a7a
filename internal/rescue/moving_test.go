package rescue

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// wantMoving checks that a connection which another worker has or will get is not transferred,
// and that one whose handover did not happen is.
func wantMoving(t *testing.T, w *Writer, records int, keeper, other *Lifeline) {
	t.Helper()
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	defer ipc.Discard(from, to)
	mine := transferred(t, records, keeper)
	defer ipc.Discard(mine.Socket, mine.File)
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(self)
	number := func(what string, want int, m Moving) { wantTransferred(t, records, keeper, what, want, m) }
	rec := record40(t, records)
	// Over TLS the connection counts as handed over then. Without TLS it is kept.
	unknown := func(what string, moving Moving) {
		t.Helper()
		number(what+", in the clear", 1, moving)
		rec.about |= whole
		number(what+", over TLS", 0, moving)
		rec.about &^= whole
	}
	dead, lives := []Out{{to, -1}}, []Out{{to, self}}
	w.h.highest = 40
	w.Giving(40, 0, 0)
	number("given to nobody", 1, Moving{})
	number("given to nobody, on a channel", 1, Moving{Out: dead})
	number("another worker has it", 0, Moving{Out: lives, Others: []Other{{Lifeline: other}}})
	if err := ipc.SendConnection(from, []byte("state"), mine.Socket, mine.File); err != nil {
		t.Fatal(err)
	}
	unknown("a channel or a worker cannot be looked at", Moving{Blind: true})
	unknown("a keeper is gone", Moving{Others: []Other{{Lifeline: ended(t)}}})
	wantExhausted(t, records, keeper, Moving{Out: dead, Lock: new(sync.Mutex)})
	number("it is in the channel to a dead worker", 0, Moving{Out: dead})
	number("it is still there", 0, Moving{Out: dead})
	number("a living worker does not read it", 0, Moving{Out: lives})
	number("it has moved on, into another channel", 0, Moving{Others: []Other{{nil, dead}}})
	w.Kept(40)
	number("it came from a channel, and is still there", 0, Moving{In: []int{to}})
	state, socket, file, err := ipc.PeekConnection(to, make([]byte, ipc.MaxState))
	ipc.NextConnection(to)
	if err != nil || string(state) != "state" || socket < 0 || file < 0 {
		t.Errorf("%q, %d, %d, %v", state, socket, file, err)
	}
	ipc.Discard(socket, file)
	number("it came from a channel", 1, Moving{In: []int{to}})
	bad := unreadable(t)
	if _, err := (&Moving{Lock: new(sync.Mutex), In: []int{bad}}).waiting(); err == nil {
		t.Error("an unreadable channel is taken for an empty one")
	}
	w.Giving(40, 0, 0)
	rec.about |= whole
	number("a channel that cannot be read, over TLS", 0, Moving{Out: []Out{{bad, -1}}})
	rec.about &^= whole
	w.Kept(40)
}

// wantExhausted checks that, without enough descriptors to search for a connection, the transfer
// fails instead of giving the connection to a second worker, and leaves nothing open.
func wantExhausted(t *testing.T, records int, keeper *Lifeline, m Moving) {
	t.Helper()
	free := func() int {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // the lowest
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer ipc.Discard(master, worker)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	lowest := free()
	for more := 0; ; more++ { // until there are enough
		few := before
		few.Cur = uint64(lowest + more)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			t.Fatal(err)
		}
		n, _, err := Transfer(master, records, keeper, m)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		if now := free(); now != lowest {
			t.Errorf("with %d descriptors, one is left open: the lowest free one is %d, want %d", more, now, lowest)
		}
		if n != 0 || err != nil && !errors.Is(err, unix.EMFILE) || more > 50 {
			t.Fatalf("with %d descriptors: %d transferred, %v", more, n, err)
		}
		if err == nil {
			return
		}
	}
}

// unreadable returns the receiving end of a channel with a message that has no connection.
func unreadable(t *testing.T) int {
	t.Helper()
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ipc.Discard(from, to) })
	if _, err := unix.Write(from, []byte("no connection")); err != nil {
		t.Fatal(err)
	}
	return to
}

// ended returns the lifeline of a keeper that has exited.
func ended(t *testing.T) *Lifeline {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l, end, err := newLifelinePair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.file.Close() })
	end.Close()
	if l.keeper = cmd.Process; cmd.Wait() != nil {
		t.Fatal(err)
	}
	return l
}
