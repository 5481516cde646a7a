package supervise

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/listen"
	"phalanx/internal/logging"
)

// spawner starts this test binary in a role; its log lines can be read from log.
func spawner(t *testing.T, role string, slots int) (s *Spawner, sockets *listen.Set, log *os.File) {
	t.Helper()
	sockets, err := listen.Open(listen.Config{Addresses: []listen.Address{{Host: "127.0.0.1"}, {Host: "127.0.0.1"}}, Slots: slots})
	if err != nil {
		t.Fatal(err)
	}
	log, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := logging.NewWriter(w, logging.JSON)
	collector, err := logging.NewCollector(lines, w, logging.JSON, 1, logging.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { collector.Close(); lines.Close(); sockets.Close(); log.Close(); w.Close() })
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Spawner{
		Path: path, Env: append(os.Environ(), roleKey+"="+role), Log: collector,
		Sockets: func(slot int) (all []*os.File) {
			for _, socket := range sockets.Sockets(slot) {
				all = append(all, socket.File)
			}
			return all
		},
		Args: func(slot, row int, kept bool) []string {
			return []string{fmt.Sprint("slot-", slot), fmt.Sprint("row", row), fmt.Sprint("kept-", kept)}
		},
	}, sockets, log
}

// spawned starts a process whose channel is closed when the test ends.
func spawned(t *testing.T, s *Spawner) Process {
	t.Helper()
	p, err := s.Spawn(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A spawned worker gets its arguments, descriptors and log, and its exit is reported with
// its last output and its use of resources.
func TestSpawnedProcess(t *testing.T) {
	s, sockets, log := spawner(t, "facts", 1)
	p := spawned(t, s)
	m, err := p.Receive()
	// Besides its own seven, it inherits the descriptors that the test's parent left open.
	fds := []int{0, 1, 2, ipc.ListenFD, ipc.ControlFD, ipc.LogFD, ipc.ListenerFD(1)}
	fds = append(fds, slices.DeleteFunc(inheritedFDs(), func(fd int) bool { return fd <= ipc.ListenerFD(1) })...)
	want := ipc.Failed{ExitCode: 5, Reason: fmt.Sprintf(
		`args ["slot-0" "row-1" "kept-false"] nonblock true stdin EOF leader true inherited %v`, fds)}
	if err != nil || m != want {
		t.Errorf("the worker reported\n %+v, %v, want\n %+v", m, err, want)
	}
	if _, err := p.Receive(); err != io.EOF {
		t.Errorf("received %v after it, want EOF", err)
	}
	e := p.Wait()
	if e.Memory < 1<<20 || e.CPU <= 0 {
		t.Errorf("the worker used %d bytes of memory and %v of CPU time, want at least 1 MiB and more than 0", e.Memory, e.CPU)
	}
	if e.Memory, e.CPU = 0, 0; e != (Exit{Code: 5, LastWords: "to standard output\nto standard error"}) {
		t.Errorf("the worker ended with %+v, want exit status 5 and its output", e)
	}
	buf := make([]byte, 128)
	if n, err := log.Read(buf); err != nil || string(buf[:n]) != fmt.Sprintf(`{"level":"info","slot":0,"pid":%d,"message":"a log line"}`+"\n", p.PID()) {
		t.Errorf("the log of the worker: %q, %v", buf[:n], err)
	}
	// Both processes share the open file description: the worker must not make it blocking.
	status, err := unix.FcntlInt(sockets.Sockets(0)[0].File.Fd(), unix.F_GETFL, 0)
	if err != nil || status&unix.O_NONBLOCK == 0 {
		t.Errorf("the socket of the master is blocking: flags %#x, %v", status, err)
	}
	if err := p.Signal(syscall.SIGINT); err != nil {
		t.Errorf("signal to an ended process: %v, want no error", err)
	}
}

// The cause of a panic is the line that the runtime printed.
func TestPanic(t *testing.T) {
	s, _, _ := spawner(t, "panic", 1)
	p := spawned(t, s)
	if e := p.Wait(); !e.crashed() || e.cause() != "exit status 2: panic: out of luck" {
		t.Errorf("ended with %+v, cause %q, want the panic", e, e.cause())
	}
}

// The cause of a SIGQUIT is the first line of the output, not the last one of the stacks.
func TestStacks(t *testing.T) {
	s, _, _ := spawner(t, "worker", 1)
	p := spawned(t, s)
	if _, err := p.Receive(); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if e := p.Wait(); !e.crashed() || e.cause() != "exit status 2: SIGQUIT: quit" {
		t.Errorf("ended with cause %q, want SIGQUIT", e.cause())
	}
}

// The handle of a worker that has ended stays valid, and its pid is not reused, until the
// pool closes it: an upgrade may be passing it on.
func TestEndedProcess(t *testing.T) {
	s, _, _ := spawner(t, "facts", 1)
	p := spawned(t, s)
	before := p.Handle()
	p.Wait()
	if after := p.Handle(); after != before {
		t.Errorf("the handle is %+v, want %+v", after, before)
	}
	if err := syscall.Kill(p.PID(), 0); err != nil {
		t.Errorf("reaped before Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
		t.Errorf("not reaped by Close: %v", err)
	}
}

// A child that a worker leaves behind ends with the worker, even if it has all its descriptors.
func TestChildOfWorker(t *testing.T) {
	s, _, _ := spawner(t, "parent", 1)
	p := spawned(t, s)
	e := p.Wait()
	var pid int
	if _, err := fmt.Sscan(e.LastWords, &pid); err != nil || e.Code != 6 {
		t.Fatalf("the worker ended with %+v, want exit status 6 and a pid", e)
	}
	if err := p.(*process).channel.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if m, err := p.Receive(); err != io.EOF {
		t.Errorf("received %v, %v, want EOF: nobody has the descriptors", m, err)
	}
	awaitGone(t, pid)
}

// A child in a process group of its own lives on, and does not delay the pool.
func TestChildInOwnGroup(t *testing.T) {
	s, _, _ := spawner(t, "keeper", 1)
	p := spawned(t, s)
	e := p.Wait()
	var pid int
	if _, err := fmt.Sscan(e.LastWords, &pid); err != nil || e.Code != 6 {
		t.Fatalf("the worker ended with %+v, want exit status 6 and a pid", e)
	}
	if m, err := p.Receive(); err == nil {
		t.Errorf("received %v, want an error", m)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the child has ended: %v", err)
	}
}

// awaitGone waits until a process that is not a child of the test has ended.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d has not ended after a minute", pid)
		}
	}
}

// A worker binary that does not exist is reported, and leaves no descriptor open.
func TestSpawnOfMissingBinary(t *testing.T) {
	s, _, _ := spawner(t, "worker", 1)
	s.Path = "/nonexistent/worker"
	before := openFDs(t)
	if _, err := s.Spawn(0, -1); err == nil || !strings.HasPrefix(err.Error(), "start worker 0: ") {
		t.Errorf("spawn: %v, want an error of starting worker 0", err)
	}
	if after := openFDs(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// In a pool of real processes, killed workers are replaced, each of them serves clients,
// and at the end no process, goroutine or descriptor remains.
func TestRealPool(t *testing.T) {
	const slots, rounds = 2, 3
	s, sockets, _ := spawner(t, "worker", slots)
	warm(t, s)
	goroutines, fds := runtime.NumGoroutine(), openFDs(t)
	signals := make(chan os.Signal)
	serving := make(chan struct{})
	alerts := make(chan string)
	done := make(chan error, 1)
	var pids []int
	go func() {
		done <- Run(heedless(Config{
			Settings: Settings{Slots: slots, Spawn: func(slot, row int) (Process, error) {
				p, err := s.Spawn(slot, row)
				if err == nil {
					pids = append(pids, p.PID())
				}
				return p, err
			}},
			Version: "1", Signals: signals,
			OnServing: func(int) { close(serving) },
			Alert:     func(line string) { alerts <- line },
		}))
	}()
	<-serving
	for range rounds {
		slot, pid := ask(t, sockets.Addresses()[0].Port)
		syscall.Kill(pid, syscall.SIGKILL)
		want := fmt.Sprintf(`^worker %d \(pid %d\) died: killed by SIGKILL(; uptime \d+s, peak memory [\d.]+ MB)?; respawning`, slot, pid)
		if got := <-alerts; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("alert %q, want %q", got, want)
		}
	}
	// Whichever queue this client is in, a worker accepts it.
	ask(t, sockets.Addresses()[0].Port)
	signals <- syscall.SIGINT
	if err := <-done; err != nil {
		t.Errorf("the pool ended with %v, want no error", err)
	}
	// The worker killed last may not have been replaced yet.
	if len(pids) < slots+rounds-1 {
		t.Errorf("%d processes were started, want at least %d", len(pids), slots+rounds-1)
	}
	gone(t, pids...)
	// A goroutine that was joined may not have returned yet.
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if g, f := runtime.NumGoroutine(), openFDs(t); g > goroutines || f > fds {
		t.Errorf("%d goroutines and %d descriptors before, %d and %d after", goroutines, fds, g, f)
	}
}

// A slot serves while its earlier workers drain, and the pool ends with the last of them.
func TestRealReplacement(t *testing.T) {
	const generations = 3
	s, sockets, _ := spawner(t, "worker", 1)
	signals := make(chan os.Signal)
	done := make(chan error, 1)
	go func() {
		done <- Run(heedless(Config{
			Settings: Settings{Slots: 1, Spawn: s.Spawn}, Version: "1", Signals: signals,
			Alert: func(line string) { t.Error(line) },
		}))
	}()
	var clients []net.Conn
	var pids []int
	for range generations {
		c, pid := holdNew(t, sockets.Addresses()[0].Port, pids)
		clients, pids = append(clients, c), append(pids, pid)
		syscall.Kill(pid, syscall.SIGINT)
	}
	last, pid := holdNew(t, sockets.Addresses()[0].Port, pids)
	last.Close()
	signals <- syscall.SIGINT
	for i, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("process %d did not wait for its client: %v", pid, err)
		}
		select {
		case err := <-done:
			t.Fatalf("the pool did not wait for process %d: %v", pid, err)
		default:
		}
		clients[i].Close()
	}
	if err := <-done; err != nil {
		t.Errorf("the pool ended with %v, want no error", err)
	}
	gone(t, append(pids, pid)...)
}

// gone checks that processes have ended and have been reaped.
func gone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d has not been reaped: %v", pid, err)
		}
	}
}

// warm opens the descriptors that the runtime opens once, with the first process.
func warm(t *testing.T, s *Spawner) {
	t.Helper()
	p := spawned(t, s)
	p.Signal(syscall.SIGKILL)
	p.Wait()
	p.Close() // now, and not at the end of the test
}

// ask connects and returns the slot and the process that responded.
func ask(t *testing.T, port int) (slot, pid int) {
	t.Helper()
	c, slot, pid := hold(t, port, "x")
	c.Close()
	return slot, pid
}

// hold connects as a client that sends want; see the function answer.
func hold(t *testing.T, port int, want string) (c net.Conn, slot, pid int) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprint(c, want); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanf(c, "slot-%d %d\n", &slot, &pid); err != nil {
		t.Fatal(err)
	}
	return c, slot, pid
}

// holdNew connects until a process other than the old ones responds: the last of them may
// not have been told yet to drain.
func holdNew(t *testing.T, port int, old []int) (net.Conn, int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		c, _, pid := hold(t, port, "h")
		if !slices.Contains(old, pid) {
			return c, pid
		}
		c.Close()
	}
	t.Fatalf("no process but %v has responded within a minute", old)
	return nil, 0
}

func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
