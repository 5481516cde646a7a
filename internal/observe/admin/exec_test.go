package admin

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/address"
	"phalanx/internal/observe/status"
)

// In this file the test binary acts as a master that executes itself again.

var (
	beMaster  = flag.String("admin.listen", "", "serve on this address, execute this program again at each line of standard input, and stop at its end")
	inherited = flag.Int("admin.fd", -1, "with the socket of the program before")
	program   = flag.Int("admin.program", 1, "the how manieth this is")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *beMaster != "" {
		os.Exit(master())
	}
	os.Exit(m.Run())
}

func master() int {
	var l *Listener
	var err error
	if *inherited >= 0 {
		l, err = Inherit(*inherited)
	} else {
		l, err = Listen(address.Address(*beMaster))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := New(Config{Source: &fakePool{pool: status.Pool{PID: *program}}})
	s.Serve(l)
	fmt.Println("serving", *program)
	if _, err := bufio.NewReaderSize(os.Stdin, 16).ReadString('\n'); err != nil {
		if err := s.Close(); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	fd, err := l.Descriptor()
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	if err == nil {
		err = syscall.Exec("/proc/self/exe", []string{os.Args[0], "-admin.listen=" + *beMaster,
			fmt.Sprintf("-admin.fd=%d", fd), fmt.Sprintf("-admin.program=%d", *program+1)}, nil)
	}
	fmt.Println(err)
	return 1
}

// A socket survives the program: no connection is refused meanwhile, the file stays, and the
// last program removes it.
func TestListenerOutlivesTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	cmd := exec.Command("/proc/self/exe", "-admin.listen="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	say := bufio.NewReader(out)
	expect(t, say, "serving 1")
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	for program := 2; program < 5; program++ {
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		refusals, stop := make(chan error), make(chan struct{})
		go func() { refusals <- keepConnecting(path, stop) }()
		expect(t, say, fmt.Sprintf("serving %d", program))
		close(stop)
		if err := <-refusals; err != nil {
			t.Errorf("program %d: %v", program, err)
		}
		body := get(t, client(path), http.MethodGet, "/status.json", 200)
		if !strings.Contains(body, fmt.Sprintf(`"pid":%d,`, program)) {
			t.Errorf("not a response of program %d: %.100s", program, body)
		}
	}
	after, err := os.Lstat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file has changed: %v", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file still exists")
	}
}

func keepConnecting(path string, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		// A full accept queue is not a refusal: connect(2) would block.
		c, err := net.Dial("unix", path)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if c != nil {
			c.Close()
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func expect(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if line, err := r.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("%q, %v, want %q", line, err, want)
	}
}
