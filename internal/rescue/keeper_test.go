package rescue

import (
	"bufio"
	"errors"
	"fmt"
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

// TestMain lets this binary act as a worker that has a keeper and does nothing else.
func TestMain(m *testing.M) {
	if os.Getenv("PHALANX_TEST_KEEPER") != "" {
		os.Exit(keptWorker())
	}
	if os.Getenv("PHALANX_TEST_EMULATED") != "" {
		fmt.Print(emulate(), Available(Sizes{64, 4096, 4096}))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// keptWorker has its memory as descriptor 3, the lifeline as 4 and a connection as 5. It
// duplicates the connection and a file that it sends to numbers of its own, and likewise its
// standard input, which must not be handed over, and the connection at a number without a record. The
// connection of a unix socket, 6, gets a number that another descriptor had before. 7 is a
// unix socket that is not a client's.
func keptWorker() int {
	mem, err := Map(3, true)
	if err == nil {
		err = Keep(4)
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
	if err == nil {
		err = unix.Dup3(6, 3, unix.O_CLOEXEC)
	}
	for _, fd := range []int{43, 44} {
		if err == nil {
			err = unix.Dup3(7, fd, unix.O_CLOEXEC)
		}
	}
	ipc.Discard(6, 7)
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
		w.Commit(fd, &Batch{File: fd + 2, Off: 10, Rest: 20})
	}
	fmt.Println("kept")
	select {}
}

// startKept starts a worker with a keeper that has a copy of the connection. It returns what is
// needed to rescue the connection, and the worker's end of the lifeline.
func startKept(t *testing.T, connection int) (*Kept, *exec.Cmd, *os.File) {
	t.Helper()
	k, records, lifeline, err := NewKept(Sizes{64, 4096, 4096})
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.FcntlInt(uintptr(connection), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	accepted, pair := unixSockets(t)
	theirs := []*os.File{os.NewFile(uintptr(own), "connection"), accepted, pair}
	cmd := exec.Command(os.Args[0], "--flags-of-a-worker")
	cmd.Env = append(os.Environ(), "PHALANX_TEST_KEEPER=1")
	cmd.ExtraFiles = append([]*os.File{records, lifeline}, theirs...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		k.Close()
		k.Wait()
		lifeline.Close()
	})
	for _, f := range theirs {
		f.Close()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "kept\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return k, cmd, lifeline
}

// keeperOf returns the keeper that has announced itself.
func keeperOf(t *testing.T, k *Kept) int {
	t.Helper()
	pid, err := k.Greeted()
	if err == nil {
		err = k.Use(pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// unixSockets returns a connection that was accepted from a unix socket, and one end of a
// pair.
func unixSockets(t *testing.T) (accepted, pair *os.File) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/socket", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[0])
	if accepted, err = s.File(); err != nil {
		t.Fatal(err)
	}
	return accepted, os.NewFile(uintptr(ends[1]), "pair")
}

// A killed worker's descriptors stay open in its keeper. The keeper ends with the lifeline and
// with nothing else, and responds even if it was stopped.
func TestKeeper(t *testing.T) {
	server, client := connected(t)
	k, cmd, _ := startKept(t, server)
	other, _, _ := startKept(t, server)
	keeperOf(t, other)
	unix.Close(server)
	pid := keeperOf(t, k)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	wantProcess(t, pid)
	fd := int(k.records.Fd())
	w := writer(t, fd)
	w.h.highest = 0                                                    // it died between accept(2) and the note
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGSTOP} { // until the keeper ends
		if err := unix.Kill(pid, signal); err != nil {
			t.Error(err)
		}
		wantKept(t, client, fd, k.lifeline)
	}
	wantMoving(t, w, fd, k.lifeline, other.lifeline)
	other.Close()
	other.Wait()
	k.lifeline.file.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || !status.Exited() {
		t.Errorf("the keeper: %v, %v", status, err)
	}
}

// wantKept expects the connection of the client and its file.
func wantKept(t *testing.T, client *net.TCPConn, records int, keeper *Lifeline) {
	t.Helper()
	kept := transferred(t, records, keeper)
	defer ipc.Discard(kept.Socket, kept.File)
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

// writer writes to the records of a dead worker.
func writer(t *testing.T, records int) *Writer {
	t.Helper()
	m, err := Map(records, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return NewWriter(m)
}

// wantTransferred checks how many connections are transferred.
func wantTransferred(t *testing.T, records int, keeper *Lifeline, what string, want int, m Moving) {
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

// transferCount transfers the connections without a receiver.
func transferCount(t *testing.T, records int, keeper *Lifeline, m Moving) int {
	t.Helper()
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer ipc.Discard(master, worker)
	n, left, err := Transfer(master, records, keeper, m)
	if err != nil || left != 2 {
		t.Errorf("%d connections left, %v", left, err)
	}
	return n
}

// transferred sends the keeper's descriptors on a rescue channel, and expects one connection
// with its file.
func transferred(t *testing.T, records int, keeper *Lifeline) ipc.Kept {
	t.Helper()
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(worker)
	if n, left, err := Transfer(master, records, keeper, Moving{Lock: new(sync.Mutex)}); n != 1 || left != 2 || err != nil {
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

// wantProcess checks a keeper's command line, name and process group.
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

// A worker does not wait for a keeper that exited before it was ready.
func TestKeeperKilledAtOnce(t *testing.T) {
	if err := Keep(-1); !errors.Is(err, errKilled) { // it cannot greet, and exits
		t.Error(err)
	}
}
