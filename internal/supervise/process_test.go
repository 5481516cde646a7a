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

// spawner starts this test binary in a role; log is where its log lines come out.
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
		Args: func(slot, row int) []string { return []string{fmt.Sprint("slot-", slot), fmt.Sprint("row", row)} },
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

func TestSpawnedProcess(t *testing.T) {
	s, sockets, log := spawner(t, "facts", 1)
	p := spawned(t, s)
	m, err := p.Receive()
	// Besides its own seven, it has what whoever started this test left open.
	fds := []int{0, 1, 2, ipc.ListenFD, ipc.ControlFD, ipc.LogFD, ipc.ListenerFD(1)}
	fds = append(fds, slices.DeleteFunc(inheritedFDs(), func(fd int) bool { return fd <= ipc.ListenerFD(1) })...)
	want := ipc.Failed{ExitCode: 5, Reason: fmt.Sprintf(
		`args ["slot-0" "row-1"] nonblock true stdin EOF leader true inherited %v`, fds)}
	if err != nil || m != want {
		t.Errorf("the worker says\n %+v, %v, want\n %+v", m, err, want)
	}
	if _, err := p.Receive(); err != io.EOF {
		t.Errorf("then %v", err)
	}
	e := p.Wait()
	if e.Memory < 1<<20 || e.CPU <= 0 {
		t.Errorf("it used %d bytes of memory and %v of CPU time", e.Memory, e.CPU)
	}
	if e.Memory, e.CPU = 0, 0; e != (Exit{Code: 5, LastWords: "to standard output\nto standard error"}) {
		t.Errorf("it ended with %+v", e)
	}
	buf := make([]byte, 128)
	if n, err := log.Read(buf); err != nil || string(buf[:n]) != fmt.Sprintf(`{"level":"info","slot":0,"pid":%d,"message":"a log line"}`+"\n", p.PID()) {
		t.Errorf("its log: %q, %v", buf[:n], err)
	}
	// The description is shared: handing it on must not make it blocking.
	status, err := unix.FcntlInt(sockets.Sockets(0)[0].File.Fd(), unix.F_GETFL, 0)
	if err != nil || status&unix.O_NONBLOCK == 0 {
		t.Errorf("the master's socket blocks: %#x, %v", status, err)
	}
	if err := p.Signal(syscall.SIGINT); err != nil {
		t.Errorf("signal to a process that is gone: %v", err)
	}
}

func TestPanic(t *testing.T) {
	s, _, _ := spawner(t, "panic", 1)
	p := spawned(t, s)
	if e := p.Wait(); !e.crashed() || e.cause() != "exit status 2: panic: out of luck" {
		t.Errorf("it ended with %+v: %s", e, e.cause())
	}
}

// A worker that prints its stacks is not known by their last register.
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
		t.Errorf("it ended with %s", e.cause())
	}
}

// The end of a worker changes nothing that an upgrade may be passing on, until the
// pool knows of it.
func TestEndedProcess(t *testing.T) {
	s, _, _ := spawner(t, "facts", 1)
	p := spawned(t, s)
	before, err := p.Handle()
	if err != nil {
		t.Fatal(err)
	}
	p.Wait()
	after, err := p.Handle()
	if err != nil || after != before {
		t.Errorf("%+v, %v, and was %+v", after, err, before)
	}
	if err := syscall.Kill(p.PID(), 0); err != nil {
		t.Errorf("it is reaped: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
		t.Errorf("it is not reaped: %v", err)
	}
}

// A child that a worker leaves behind, with every descriptor of it, ends with it.
func TestChildOfWorker(t *testing.T) {
	s, _, _ := spawner(t, "parent", 1)
	p := spawned(t, s)
	e := p.Wait()
	var pid int
	if _, err := fmt.Sscan(e.LastWords, &pid); err != nil || e.Code != 6 {
		t.Fatalf("it ended with %+v", e)
	}
	if m, err := p.Receive(); err != io.EOF {
		t.Errorf("received %v, %v", m, err)
	}
	awaitGone(t, pid)
}

// One in a group of its own lives on, and cannot hold up the pool.
func TestChildInOwnGroup(t *testing.T) {
	s, _, _ := spawner(t, "keeper", 1)
	p := spawned(t, s)
	e := p.Wait()
	var pid int
	if _, err := fmt.Sscan(e.LastWords, &pid); err != nil || e.Code != 6 {
		t.Fatalf("it ended with %+v", e)
	}
	if m, err := p.Receive(); err == nil {
		t.Errorf("received %v", m)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("it does not live: %v", err)
	}
}

// awaitGone waits until a process that is nobody's child here has ended.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives", pid)
		}
	}
}

func TestSpawnNothing(t *testing.T) {
	s, _, _ := spawner(t, "worker", 1)
	s.Path = "/nonexistent/worker"
	before := openFDs(t)
	if _, err := s.Spawn(0, -1); err == nil || !strings.HasPrefix(err.Error(), "start worker 0: ") {
		t.Errorf("got %v", err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// A pool of real processes: killed ones are replaced, clients are served by
// all, and in the end nothing is left.
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
			Slots: slots, Version: "1", Signals: signals,
			Spawn: func(slot, row int) (Process, error) {
				p, err := s.Spawn(slot, row)
				if err == nil {
					pids = append(pids, p.PID())
				}
				return p, err
			},
			OnServing: func(int) { close(serving) },
			Alert:     func(line string) { alerts <- line },
		}))
	}()
	<-serving
	for range rounds {
		slot, pid := ask(t, sockets.Addresses()[0].Port)
		syscall.Kill(pid, syscall.SIGKILL)
		want := fmt.Sprintf(`^worker %d \(pid %d\) died: killed by SIGKILL(; uptime \ds, peak memory [\d.]+ MB)?; respawning`, slot, pid)
		if got := <-alerts; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("alert %q, want %q", got, want)
		}
	}
	// Whichever queue this client is in, somebody takes it out.
	ask(t, sockets.Addresses()[0].Port)
	signals <- syscall.SIGINT
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
	// The last one killed may have been waiting for its replacement.
	if len(pids) < slots+rounds-1 {
		t.Errorf("%d processes were started, want %d", len(pids), slots+rounds)
	}
	gone(t, pids...)
	// A goroutine that was joined may still be on its last instruction.
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if g, f := runtime.NumGoroutine(), openFDs(t); g > goroutines || f > fds {
		t.Errorf("%d goroutines and %d descriptors before, %d and %d after", goroutines, fds, g, f)
	}
}

// A slot whose workers drain for long is served all the same, and the pool
// ends with the last of them.
func TestRealReplacement(t *testing.T) {
	const generations = 3
	s, sockets, _ := spawner(t, "worker", 1)
	signals := make(chan os.Signal)
	done := make(chan error, 1)
	go func() {
		done <- Run(heedless(Config{
			Slots: 1, Version: "1", Signals: signals, Spawn: s.Spawn,
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
		t.Errorf("ended with %v", err)
	}
	gone(t, append(pids, pid)...)
}

// gone wants processes to have ended and to have been waited for.
func gone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is left: %v", pid, err)
		}
	}
}

// warm opens what the runtime opens once for the first process.
func warm(t *testing.T, s *Spawner) {
	t.Helper()
	p := spawned(t, s)
	p.Signal(syscall.SIGKILL)
	p.Wait()
	p.Close() // not as late as the test's end
}

// ask connects and returns which slot and process answered.
func ask(t *testing.T, port int) (slot, pid int) {
	t.Helper()
	c, slot, pid := hold(t, port, "x")
	c.Close()
	return slot, pid
}

// hold connects as a client that wants something, see answer.
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

// holdNew connects until another process than the old ones answers: the last
// of them may not have heard yet that it is to go.
func holdNew(t *testing.T, port int, old []int) (net.Conn, int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		c, _, pid := hold(t, port, "h")
		if !slices.Contains(old, pid) {
			return c, pid
		}
		c.Close()
	}
	t.Fatalf("nobody but the processes %v answers", old)
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
