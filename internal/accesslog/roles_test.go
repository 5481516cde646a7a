package accesslog

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/internal/systest"

	"golang.org/x/sys/unix"
)

// roleKey makes the test binary play another role.
const roleKey = "PHALANX_TEST_ROLE"

func TestMain(m *testing.M) {
	unix.Umask(0o022) // the mode of a log depends on it
	switch os.Getenv(roleKey) {
	case "":
		os.Exit(m.Run())
	case "worker":
		actWorker()
	case "full disk":
		actFullDisk(os.Args[1])
	}
}

func act(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), roleKey+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

const sharedRing = 512 << 10

func mapRing(fd int) (*Ring, []byte, error) {
	mem, err := unix.Mmap(fd, 0, sharedRing, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewRing(mem)
	return r, mem, err
}

// actWorker writes lines into the ring on descriptor 3, rings the doorbell on
// descriptor 4, and writes a byte for each line to standard output.
func actWorker() {
	r, _, err := mapRing(3)
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		if !r.Write([]byte(numbered(0, i))) {
			panic("no room")
		}
		if r.Due() {
			Wake(4)
		}
		os.Stdout.Write([]byte{'.'})
		if i > 100 {
			time.Sleep(time.Millisecond) // there is room until somebody kills it
		}
	}
}

// What a worker wrote before it was killed is in the file.
func TestKilledWorker(t *testing.T) {
	fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	shared := os.NewFile(uintptr(fd), "ring")
	defer shared.Close()
	noError(t, shared.Truncate(sharedRing))
	ring, mem, err := mapRing(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	path := filepath.Join(t.TempDir(), "log")
	w := open(t, path, Config{})
	w.Attach(0, ring)
	bellFD, err := unix.Dup(w.cfg.Doorbell.Out)
	if err != nil {
		t.Fatal(err)
	}
	bell := os.NewFile(uintptr(bellFD), "doorbell")
	defer bell.Close()

	cmd := act(t, "worker")
	cmd.ExtraFiles = []*os.File{shared, bell}
	reported, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	noError(t, cmd.Start())
	systest.Await(t, "lines by the doorbell", func() bool { return content(t, path) != "" })
	n := killAfter(t, cmd, reported, 300)
	w.Detach(0)
	closed(t, w)
	got := 0
	for line := range strings.Lines(content(t, path)) {
		if line != numbered(0, got) {
			t.Fatalf("line %d is %q", got, line)
		}
		got++
	}
	if got != n && got != n+1 { // it may have written a line and not reported it
		t.Errorf("%d lines, want %d", got, n)
	}
}

// killAfter kills a worker once it has reported the given number of lines, and returns
// how many it reported in the end.
func killAfter(t *testing.T, cmd *exec.Cmd, reported io.Reader, lines int) (n int) {
	t.Helper()
	for buf := make([]byte, 64); n < lines; {
		k, err := reported.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	cmd.Process.Kill()
	rest := make([]byte, 1<<16)
	for k := 1; k > 0; n += k {
		k, _ = reported.Read(rest)
	}
	cmd.Wait()
	return n
}

// actFullDisk writes to a file with a limit on its size, which is like a full disk, and
// then removes the limit. The limit is that of the process.
func actFullDisk(path string) {
	var alerted alerts
	bell, err := NewDoorbell()
	if err != nil {
		panic(err)
	}
	w := New(Config{Doorbell: bell, Alert: alerted.add})
	if err := w.Use(path); err != nil {
		panic(err)
	}
	ring, err := NewRing(make([]byte, 32<<10))
	if err != nil {
		panic(err)
	}
	w.Attach(0, ring)
	limit := unix.Rlimit{Cur: 10_000, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	i := 0
	for ; w.Lost() < 50; i++ {
		if !write(ring, w.cfg.Doorbell.Out, numbered(0, i)) {
			i--
			continue
		}
		time.Sleep(100 * time.Microsecond)
	}
	for len(alerted.all()) == 0 {
		time.Sleep(time.Millisecond)
	}
	closeErr := w.suspend(20 * time.Second)
	before, err := os.ReadFile(path) // while nothing is written
	if err != nil {
		panic(err)
	}
	w.Resume()
	limit.Cur = unix.RLIM_INFINITY
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	began := time.Now()
	for ring.Waiting() > 0 && time.Since(began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	err = w.close(20 * time.Second)
	fmt.Printf("%d %q %q %v %q %d", i, before[max(0, len(before)-1):], closeErr, err, alerted.all(), w.Lost())
}

// On a full disk the file ends with a complete line, and there is one alert. When there is
// space again, only lines that did not fit into the ring are missing.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	out, err := act(t, "full disk", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var n, lost int
	var last, suspend, end, told string
	report := strings.NewReplacer("[", "", "]", "").Replace(string(out))
	if k, err := fmt.Sscanf(report, "%d %q %q %s %q %d", &n, &last, &suspend, &end, &told, &lost); k != 6 {
		t.Fatalf("%s: %v", out, err)
	}
	if last != "\n" || end != "<nil>" || lost < 50 || !strings.Contains(suspend, "file too large") {
		t.Errorf("%s", out)
	}
	if want := fmt.Sprintf("access log: write %q: file too large; ", path); !strings.HasPrefix(told, want) {
		t.Errorf("alert %q, want %q", told, want)
	}
	next := 0
	for line := range strings.Lines(content(t, path)) {
		if line != numbered(0, next) {
			t.Fatalf("line %d is %q", next, line)
		}
		next++
	}
	if next != n || next < 200 {
		t.Errorf("%d lines, want %d", next, n)
	}
}
