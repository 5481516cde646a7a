package rescue

import (
	"bufio"
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
// that has no record. The connection of a unix socket that it has as 6 gets a number that
// another descriptor had before, and 7 is a unix socket that is not a client's.
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
	if err == nil {
		err = unix.Dup3(6, 3, unix.O_CLOEXEC)
	}
	for _, fd := range []int{43, 44} {
		if err == nil {
			err = unix.Dup3(7, fd, unix.O_CLOEXEC)
		}
	}
	closeAll(6, 7)
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

// startKept starts a worker with a keeper and closes what only they are to hold.
// It returns when the keeper is there.
func startKept(t *testing.T, records, read, connection *os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "--flags-of-a-worker")
	cmd.Env = append(os.Environ(), "PHALANX_TEST_KEEPER=1")
	accepted, pair := unixSockets(t)
	cmd.ExtraFiles = []*os.File{records, read, connection, accepted, pair}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	connection.Close()
	accepted.Close()
	pair.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "kept\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd
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

// transferCount transfers to nobody.
func transferCount(t *testing.T, records, keeper int, m Moving) int {
	t.Helper()
	master, worker, err := ipc.RescueChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(master, worker)
	n, left, err := Transfer(master, records, keeper, m)
	if err != nil || left != 2 {
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
