package rescue

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// TestMain makes this binary a worker that does nothing but have a keeper.
func TestMain(m *testing.M) {
	if os.Getenv("PHALANX_TEST_KEEPER") != "" {
		os.Exit(keptWorker())
	}
	os.Exit(m.Run())
}

// keptWorker has its memory as descriptor 3, the lifeline as 4 and a connection
// as 5, which it opens again at numbers of its own, as it does with a file that
// it sends, its standard input, which nobody is to get, and the connection at a number
// that has no record.
func keptWorker() int {
	mem, err := Map(3, true)
	if err == nil {
		err = mem.Keep(4)
	}
	if err == nil {
		err = unix.Dup3(5, 40, unix.O_CLOEXEC)
	}
	if err == nil {
		err = unix.Dup3(5, 70, unix.O_CLOEXEC)
	}
	if err == nil {
		err = unix.Close(5)
	}
	if err == nil {
		err = unix.Dup3(0, 41, unix.O_CLOEXEC)
	}
	file, openErr := os.Open(os.Args[0])
	if err == nil {
		err = openErr
	}
	if err == nil {
		err = unix.Dup3(int(file.Fd()), 42, unix.O_CLOEXEC)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	w := NewWriter(mem)
	for _, fd := range []int{40, 41} {
		w.Opened(fd)
		w.Commit(fd, Batch{File: fd + 2, Off: 10, Rest: 20})
	}
	fmt.Println("kept")
	select {}
}

// startKept starts a worker with a keeper and closes what only they are to hold.
// It returns when the keeper is there.
func startKept(t *testing.T, records, read, connection *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "--flags-of-a-worker")
	cmd.Env = append(os.Environ(), "PHALANX_TEST_KEEPER=1")
	cmd.ExtraFiles = []*os.File{records, read, connection}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	connection.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "kept\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
}

// A worker that is killed leaves its descriptors with its keeper, which ends
// with the lifeline and with nothing else.
func TestKeeper(t *testing.T) {
	fd, err := Create(Sizes{64, 4096, 4096})
	if err != nil {
		t.Fatal(err)
	}
	records := os.NewFile(uintptr(fd), "records")
	defer records.Close()
	read, life, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close() // a second time, which does no harm
	server, client := connected(t)
	cmd := startKept(t, records, read, os.NewFile(uintptr(server), "connection"))
	m, err := Map(fd, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	pid, made := m.Keeper()
	if pid <= 0 || made != 0 {
		t.Fatalf("keeper %d, made %d", pid, made)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	wantProcess(t, pid)
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Error(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	w := writer(t, fd)
	w.h.highest = 0 // it died between accept(2) and the note
	for range 2 {   // until the keeper ends
		wantKept(t, client, fd, pidfd)
	}
	wantMoving(t, w, fd, pidfd)
	life.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || !status.Exited() {
		t.Errorf("the keeper: %v, %v", status, err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the client of an end: %d, %v", n, err)
	}
}

// wantKept wants the connection, on which the client hears, and its file.
func wantKept(t *testing.T, client *net.TCPConn, records, keeper int) {
	t.Helper()
	kept := transferred(t, records, keeper)
	defer closeAll(kept.Socket, kept.File)
	if _, err := unix.Write(kept.Socket, []byte("x")); err != nil {
		t.Errorf("the kept connection: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(kept.File, &st); err != nil || st.Size == 0 {
		t.Errorf("the file: %v", err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the client: %d, %v", n, err)
	}
}

// writer writes to the records of a worker that is dead.
func writer(t *testing.T, records int) *Writer {
	t.Helper()
	m, err := Map(records, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return NewWriter(m)
}

// wantTransferred holds how many connections are transferred.
func wantTransferred(t *testing.T, records, keeper int, what string, want int, m Moving) {
	t.Helper()
	m.Lock = new(sync.Mutex)
	if n := transferCount(t, records, keeper, m); n != want {
		t.Errorf("%s: %d transferred, want %d", what, n, want)
	}
}

// record40 returns the record of descriptor 40.
func record40(t *testing.T, records int) *record {
	t.Helper()
	m, err := Map(records, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m.record(40)
}

// wantMoving holds that a connection which another worker has, or will have, is
// not transferred, and that one is which was not given away in the end.
func wantMoving(t *testing.T, w *Writer, records, keeper int) {
	t.Helper()
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(from, to)
	mine := transferred(t, records, keeper)
	defer closeAll(mine.Socket, mine.File)
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(self)
	send := func() {
		if err := ipc.SendConnection(from, []byte("state"), mine.Socket, mine.File); err != nil {
			t.Fatal(err)
		}
	}
	number := func(what string, want int, m Moving) { wantTransferred(t, records, keeper, what, want, m) }
	rec := record40(t, records)
	// Over TLS the connection counts as given away then, in the clear it is kept.
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
	number("another worker has it", 0, Moving{Out: lives, Keepers: []int{self}})
	send()
	unknown("a channel or a worker cannot be looked at", Moving{Blind: true})
	unknown("a keeper is gone", Moving{Keepers: []int{ended(t)}})
	wantExhausted(t, records, keeper, Moving{Out: dead, Lock: new(sync.Mutex)})
	number("it is in the channel to a dead worker", 0, Moving{Out: dead})
	number("it is still there", 0, Moving{Out: dead})
	unknown("a living worker does not read it", Moving{Out: lives})
	w.Kept(40)
	number("it came from a channel, and is still there", 0, Moving{In: []int{to}})
	state, socket, file, err := ipc.ReceiveConnection(to, make([]byte, ipc.MaxState))
	if err != nil || string(state) != "state" || socket < 0 || file < 0 {
		t.Errorf("%q, %d, %d, %v", state, socket, file, err)
	}
	closeAll(socket, file)
	number("it came from a channel", 1, Moving{In: []int{to}})
	bad := unreadable(t)
	if _, err := (&Moving{Lock: new(sync.Mutex), In: []int{bad}}).waiting(); err == nil {
		t.Error("a channel that cannot be read counts as empty")
	}
	w.Giving(40, 0, 0)
	rec.about |= whole
	number("a channel that cannot be read, over TLS", 0, Moving{Out: []Out{{bad, -1}}})
	rec.about &^= whole
	w.Kept(40)
}

// wantExhausted holds that without the descriptors to look for a connection, the transfer
// fails instead of giving it to a second worker, and leaves nothing open.
func wantExhausted(t *testing.T, records, keeper int, m Moving) {
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
	defer closeAll(master, worker)
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
			t.Errorf("with %d descriptors, one is left open: %d is the lowest, not %d", more, now, lowest)
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
	t.Cleanup(func() { closeAll(from, to) })
	if _, err := unix.Write(from, []byte("no connection")); err != nil {
		t.Fatal(err)
	}
	return to
}

// ended returns the pidfd of a process that has exited.
func ended(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pidfd) })
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return pidfd
}

// transferCount transfers to nobody.
func transferCount(t *testing.T, records, keeper int, m Moving) int {
	t.Helper()
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(master, worker)
	n, left, err := Transfer(master, records, keeper, m)
	if err != nil || left != 1 {
		t.Errorf("%d connections left, %v", left, err)
	}
	return n
}

// transferred sends what the keeper has on a rescue channel, and wants one
// connection with its file.
func transferred(t *testing.T, records, keeper int) ipc.Kept {
	t.Helper()
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(worker)
	if n, left, err := Transfer(master, records, keeper, Moving{Lock: new(sync.Mutex)}); n != 1 || left != 1 || err != nil {
		t.Fatalf("%d transferred, %d left, %v", n, left, err)
	}
	unix.Close(master)
	fd, err := ipc.ReceiveRecords(worker)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	kept, _, err := ipc.ReceiveKept(worker)
	if err != nil || len(kept) != 1 || kept[0].Number != 40 || kept[0].File < 0 {
		t.Fatalf("%+v, %v", kept, err)
	}
	return kept[0]
}

// wantProcess holds what others see of a keeper.
func wantProcess(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		comm, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
		group, _ := unix.Getpgid(pid)
		if strings.TrimRight(string(line), "\x00") == keeperName && string(comm) == keeperName+"\n" && group == pid {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("command line %q, name %q, group %d", line, comm, group)
		}
		time.Sleep(time.Millisecond)
	}
}
