package rescue

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/systest"
)

// sendMessage sends a message from this process on a worker's end.
func sendMessage(t *testing.T, end *os.File, status unix.Errno, numbers []int, fds ...int) {
	t.Helper()
	p := binary.NativeEndian.AppendUint32(nil, uint32(status))
	for _, n := range numbers {
		p = binary.NativeEndian.AppendUint32(p, uint32(n))
	}
	if _, err := unix.SendmsgN(int(end.Fd()), p, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
		t.Errorf("send: %v", err)
	}
}

// answering returns a lifeline on which this process itself sends the given answers in order.
func answering(t *testing.T, answers ...func(end *os.File)) *Lifeline {
	t.Helper()
	l, end, err := newLifelinePair()
	if err != nil {
		t.Fatal(err)
	}
	if l.keeper, err = os.FindProcess(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for _, answer := range answers {
			if n, err := end.Read(make([]byte, 4*ipc.MaxRights)); n == 0 || err != nil {
				t.Errorf("no question: %v", err)
			}
			answer(end)
		}
	})
	t.Cleanup(func() {
		l.file.Close()
		all.Wait()
		end.Close()
		l.keeper.Release()
	})
	return l
}

// openDescriptors returns the number of this process's open descriptors. There may be fewer
// later, because the runtime closes unreferenced files.
func openDescriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// The other descriptors of a question are not lost if one of them is closed, if another process
// writes to the lifeline, or if this process has few free descriptors.
func TestTakeDescriptors(t *testing.T) {
	server, _ := connected(t)
	defer unix.Close(server)
	k, _, end := startKept(t, server)
	keeperOf(t, k)
	before := openDescriptors(t)
	sendMessage(t, end, 0, []int{0}, 0)
	if _, err := unix.SendmsgN(int(end.Fd()), nil, unix.UnixRights(0), nil, 0); err != nil { // which looks like an end
		t.Fatal(err)
	}
	var asked []int
	for n := range ipc.MaxRights {
		asked = append(asked, n)
	}
	asked[ipc.MaxRights-1] = -1
	take := func() (numbers []int) {
		t.Helper()
		all, err := k.lifeline.take(asked, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for i, one := range all {
			if ipc.Discard(one.fd); one.fd >= 0 {
				numbers = append(numbers, one.number)
			} else if i+1 < len(all) && all[i+1].fd >= 0 {
				t.Errorf("got %d, but not %d", all[i+1].number, one.number)
			}
		}
		if n := openDescriptors(t); n > before {
			t.Errorf("%d descriptors, want %d as before", n, before)
		}
		return numbers
	}
	all := take()
	for _, n := range []int{40, 42, 70} {
		if !slices.Contains(all, n) {
			t.Errorf("%d is not among %v", n, all)
		}
	}
	restore := systest.FullTable(t, 2)
	defer restore()
	if some := take(); len(some) == 0 || len(some) > 2 || !slices.Equal(some, all[:len(some)]) {
		t.Errorf("%v, want the first of %v", some, all)
	}
}

// A keeper that cannot send at the moment is asked again.
func TestTakeAgain(t *testing.T) {
	l := answering(t,
		func(end *os.File) { sendMessage(t, end, unix.ETOOMANYREFS, nil) },
		func(end *os.File) { sendMessage(t, end, unix.EBADF, nil) },
		func(end *os.File) { sendMessage(t, end, 0, []int{5}, 0) })
	all, err := l.take([]int{4, 5, 6}, time.Now().Add(time.Minute))
	if err != nil || len(all) != 1 || all[0].number != 5 {
		t.Fatalf("%v, %v", all, err)
	}
	unix.Close(all[0].fd)
}

// A keeper that answers wrongly or too late is ended, and the descriptors that it sent are
// closed.
func TestBadAnswers(t *testing.T) {
	for what, answer := range map[string]func(end *os.File){
		"a number that was not asked for": func(end *os.File) { sendMessage(t, end, 0, []int{4, 7}, 0, 0) },
		"a number twice":                  func(end *os.File) { sendMessage(t, end, 0, []int{4, 4}, 0, 0) },
		"another order":                   func(end *os.File) { sendMessage(t, end, 0, []int{5, 4}, 0, 0) },
		"too few descriptors":             func(end *os.File) { sendMessage(t, end, 0, []int{4, 5}, 0) },
		"too many descriptors":            func(end *os.File) { sendMessage(t, end, 0, []int{4}, 0, 0) },
		"a piece of a number": func(end *os.File) {
			if _, err := unix.SendmsgN(int(end.Fd()), make([]byte, 6), unix.UnixRights(0), nil, 0); err != nil {
				t.Error(err)
			}
		},
		"nothing": func(end *os.File) {
			if n, err := end.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("read %d bytes, error %v; want EOF", n, err)
			}
			if _, err := unix.SendmsgN(int(end.Fd()), make([]byte, 4), unix.UnixRights(0), nil, unix.MSG_NOSIGNAL); err != unix.EPIPE {
				t.Errorf("sent after EOF: error %v, want EPIPE", err)
			}
		},
		"its end": func(end *os.File) { end.Close() },
	} {
		l := answering(t, answer)
		before := openDescriptors(t)
		timeout := time.Minute
		if what == "nothing" {
			timeout = 20 * time.Millisecond
		}
		for range 2 { // the second time at once
			if all, err := l.take([]int{4, 5, 6}, time.Now().Add(timeout)); !errors.Is(err, ErrKeeperGone) {
				t.Errorf("%s: %v, %v", what, all, err)
			}
			timeout = time.Hour
		}
		if what == "its end" {
			before--
		}
		if n := openDescriptors(t); n > before {
			t.Errorf("%s: %d descriptors, want %d as before", what, n, before)
		}
	}
}

// FuzzAnswer checks that an answer has only descriptors that were asked for, in that order.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{}, 0, false)
	f.Add([]byte("\x00\x00\x00\x00\x05\x00\x00\x00\x07\x00\x00\x00"), 2, false)
	f.Add([]byte("\x00\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00"), 1, true)
	f.Add([]byte("\x18\x00\x00\x00"), 0, false)
	f.Fuzz(func(t *testing.T, p []byte, fds int, truncated bool) {
		m := message{from: 1, truncated: truncated}
		m.decode(p)
		m.fds = make([]int, max(0, min(fds, ipc.MaxRights)))
		asked := []int{4, 5, 6, 5}
		all, ok := m.match(asked)
		if !ok {
			return
		}
		if len(all) > len(asked) || len(all) < len(m.fds) || len(all) > len(m.fds) && !truncated {
			t.Fatalf("%v of %d descriptors", all, len(m.fds))
		}
		for i, one := range all {
			at := slices.Index(asked, one.number)
			if at < 0 || one.fd < 0 != (i >= len(m.fds)) {
				t.Fatalf("%v", all)
			}
			asked = asked[at+1:]
		}
	})
}

// foreign returns a lifeline whose keeper is another process, and its other end.
func foreign(t *testing.T) (*Lifeline, *os.File) {
	t.Helper()
	l, end, err := newLifelinePair()
	if err != nil {
		t.Fatal(err)
	}
	if l.keeper, err = os.FindProcess(os.Getppid()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.file.Close()
		end.Close()
		l.keeper.Release()
	})
	return l, end
}

// Descriptors in late answers are closed, and messages of other processes are not answers.
func TestNobodyAnswers(t *testing.T) {
	l, end := foreign(t)
	before := openDescriptors(t)
	for range 20 {
		sendMessage(t, end, 0, []int{4}, 0)
	}
	if all, err := l.take([]int{4}, time.Now().Add(20*time.Millisecond)); !errors.Is(err, ErrKeeperGone) {
		t.Errorf("%v, %v", all, err)
	}
	if n := openDescriptors(t); n > before {
		t.Errorf("%d descriptors, want %d as before", n, before)
	}
}

// lingering returns a connection whose last close waits for half a minute, because its client
// does not read.
func lingering(t *testing.T) int {
	t.Helper()
	server, _ := connected(t)
	for err := unix.SetNonblock(server, true); err != unix.EAGAIN; _, err = unix.Write(server, make([]byte, 1<<16)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 30}); err != nil {
		t.Fatal(err)
	}
	return server
}

// Messages of a compromised worker on the lifeline do not block the master.
func TestLingeringSockets(t *testing.T) {
	put := func(end *os.File, number int) {
		fd := lingering(t)
		sendMessage(t, end, 0, []int{number}, fd)
		unix.Close(fd)
	}
	began := time.Now()
	l, end := foreign(t)
	put(end, 4)
	if all, err := l.take([]int{4}, time.Now().Add(20*time.Millisecond)); !errors.Is(err, ErrKeeperGone) {
		t.Errorf("%v, %v", all, err)
	}
	k, _, end, err := NewKept(Sizes{64, 4096, 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	put(end, 4)
	k.Close()
	if waited := time.Since(began); waited > 15*time.Second {
		t.Errorf("the master waited for %v", waited)
	}
}

// A keeper that has exited does not answer, although its worker still has the other end.
func TestKeeperOfLivingWorker(t *testing.T) {
	l, end, err := newLifelinePair()
	if err != nil {
		t.Fatal(err)
	}
	defer l.file.Close()
	defer end.Close()
	l.keeper = ended(t).keeper
	began := time.Now()
	if all, err := l.take([]int{4}, began.Add(30*time.Second)); !errors.Is(err, ErrKeeperGone) || time.Since(began) > 15*time.Second {
		t.Errorf("%v, %v after %v", all, err, time.Since(began))
	}
}

// A search after the deadline asks no keeper and ends none.
func TestSearchTooLate(t *testing.T) {
	server, _ := connected(t)
	defer unix.Close(server)
	k, _, _ := startKept(t, server)
	keeperOf(t, k)
	for _, unknown := range []bool{false, true} {
		if has, err := mayHave(k.lifeline, cookie(server), unknown, time.Now()); has != unknown || err != nil {
			t.Errorf("%v, %v", has, err)
		}
	}
	if has, err := mayHave(k.lifeline, cookie(server), false, time.Now().Add(time.Minute)); !has || err != nil {
		t.Errorf("then %v, %v", has, err)
	}
}
