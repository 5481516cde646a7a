package rescue

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain makes this binary a worker that does nothing but have a keeper.
func TestMain(m *testing.M) {
	if os.Getenv("PHALANX_TEST_KEEPER") != "" {
		os.Exit(keptWorker())
	}
	os.Exit(m.Run())
}

// keptWorker has its memory as descriptor 3 and the lifeline as 4, and opens
// its standard input at a number of its own.
func keptWorker() int {
	mem, err := Map(3, true)
	if err == nil {
		err = mem.Keep(4)
	}
	if err == nil {
		err = unix.Dup3(0, 40, unix.O_CLOEXEC)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("kept")
	select {}
}

// A worker that is killed leaves its descriptors with its keeper, which ends
// with the lifeline and with nothing else.
func TestKeeper(t *testing.T) {
	fd, err := Create(64, 4096, 4096)
	if err != nil {
		t.Fatal(err)
	}
	records := os.NewFile(uintptr(fd), "records")
	defer records.Close()
	read, life, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close()
	kept, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	cmd := exec.Command(os.Args[0], "--flags-of-a-worker")
	cmd.Env = append(os.Environ(), "PHALANX_TEST_KEEPER=1")
	cmd.Stdin = kept
	cmd.ExtraFiles = []*os.File{records, read}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	kept.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "kept\n" {
		t.Fatalf("%q, %v", line, err)
	}
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
	if n, err := end.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("the kept pipe: %d, %v", n, err)
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Error(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	taken, err := unix.PidfdGetfd(pidfd, 40, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(taken)
	buf := make([]byte, 1)
	if n, err := unix.Read(taken, buf); n != 1 || err != nil {
		t.Errorf("the taken descriptor: %d, %v", n, err)
	}
	life.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, 0, nil); err != nil || !status.Exited() {
		t.Errorf("the keeper: %v, %v", status, err)
	}
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
