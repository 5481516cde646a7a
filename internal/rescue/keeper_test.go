package rescue

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
// it sends and its standard input, which nobody is to get.
func keptWorker() int {
	mem, err := Map(3, true)
	if err == nil {
		err = mem.Keep(4)
	}
	if err == nil {
		err = unix.Dup3(5, 40, unix.O_CLOEXEC)
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
	for range 2 { // until the keeper ends
		kept := transferred(t, fd, pidfd)
		if _, err := unix.Write(kept.Socket, []byte("x")); err != nil {
			t.Errorf("the kept connection: %v", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(kept.File, &st); err != nil || st.Size == 0 {
			t.Errorf("the file: %v", err)
		}
		unix.Close(kept.Socket)
		unix.Close(kept.File)
		if n, err := client.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("the client: %d, %v", n, err)
		}
	}
	life.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || !status.Exited() {
		t.Errorf("the keeper: %v, %v", status, err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the client of an end: %d, %v", n, err)
	}
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
	if n, err := Transfer(master, records, keeper); n != 1 || err != nil {
		t.Fatalf("%d transferred, %v", n, err)
	}
	unix.Close(master)
	fd, err := ipc.ReceiveRecords(worker)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	kept, err := ipc.ReceiveKept(worker)
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
