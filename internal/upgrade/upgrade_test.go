package upgrade

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/keyring"
	"phalanx/internal/listen"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/supervise"
)

// rig returns an upgrader with two sockets and one worker, and the state of its pool.
func rig(t *testing.T) (u Upgrader, pool supervise.State) {
	t.Helper()
	sockets, err := listen.Open(listen.Config{Addresses: []listen.Address{{Host: "127.0.0.1", Short: true}}, Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets.Close(); r.Close(); w.Close() })
	pool = supervise.State{Wanted: 2, Slots: 2, Workers: []supervise.WorkerState{{
		Handle: supervise.Handle{PID: 7, Channel: int(r.Fd()), Output: int(w.Fd())},
		Slot:   1, Version: "1", Started: time.Unix(1, 0).UTC(),
	}}}
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	return Upgrader{
		Board: board, Log: quiet{}, Path: "/bin/master", Name: "phalanx", Args: []string{"--port", "0"}, Env: []string{"A=b"},
		Settings: func() error { return nil }, Sockets: sockets, Signals: &Signals{c: make(chan os.Signal, 1)}, Nohup: true,
		Leave: func() ([]byte, int, func()) { return []byte("late\n"), 2, func() {} },
		Keys:  func() *keyring.State { return &keyring.State{TicketKeys: [][]byte{{1, 2}, {3}}} },
	}, pool
}

// quiet is a log that has lost three lines, and loses two in an upgrade.
type quiet struct{}

func (quiet) Lost() uint64 { return 3 }
func (quiet) Left() uint64 { return 2 }
func (quiet) Suspend()     {}
func (quiet) Resume()      {}

// kept reports whether the descriptor survives an exec.
func kept(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC == 0
}

func hupBlocked(t *testing.T) bool {
	t.Helper()
	var now unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &now); err != nil {
		t.Fatal(err)
	}
	return now.Val[0]&(1<<(syscall.SIGHUP-1)) != 0
}

// The descriptors of the state are open for the new program, which reads the state. If it
// cannot be executed, nothing has changed.
func TestExec(t *testing.T) {
	runtime.LockOSThread() // whose mask is looked at
	defer runtime.UnlockOSThread()
	u, pool := rig(t)
	sockets := u.Sockets.State()
	fds, slots := sockets[0].Sockets, sockets[0].Slots
	if _, _, err := u.Board.Open(3); err != nil {
		t.Fatal(err)
	}
	board := u.Board.State()
	u.Admin = pool.Workers[0].Output // any descriptor would do
	want := Carried{Pool: pool, Listen: sockets, Sockets: fds, Slots: slots, Nohup: true, Unwritten: []byte("late\n"), Dropped: 2, Board: &board, Admin: u.Admin, Lost: 5, Keys: u.Keys()}
	stay := append(slices.Clone(fds), pool.Workers[0].Channel, pool.Workers[0].Output, board.Fd)
	u.Execve = func(path string, argv, env []string) error {
		if path != u.Path || !slices.Equal(argv, []string{"phalanx", "--port", "0"}) {
			t.Errorf("execve %s %q", path, argv)
		}
		text, ok := strings.CutPrefix(env[len(env)-1], Key+"=")
		if !ok || len(env) != 2 || env[0] != "A=b" {
			t.Fatalf("the environment is %q", env)
		}
		file, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range append(stay, file) {
			if !kept(t, fd) {
				t.Errorf("descriptor %d is closed", fd)
			}
		}
		if syscall.ForkLock.TryRLock() {
			syscall.ForkLock.RUnlock()
			t.Error("a process that another goroutine starts now inherits the keys")
		}
		if !hupBlocked(t) {
			t.Error("SIGHUP would end the new program")
		}
		copied, err := unix.Dup(file) // Inherit closes it
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Inherit(strconv.Itoa(copied)); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("carried %+v, %v\nwant %+v", got, err, want)
		}
		return syscall.ENOEXEC
	}
	if err := u.Exec(pool); !errors.Is(err, syscall.ENOEXEC) || err.Error() != "execute /bin/master: exec format error" {
		t.Errorf("the upgrade failed with %v", err)
	}
	for _, fd := range stay {
		if kept(t, fd) {
			t.Errorf("every worker would inherit descriptor %d", fd)
		}
	}
	if hupBlocked(t) {
		t.Error("SIGHUP stays blocked")
	}
}

// After an upgrade that failed, as many files can be opened as before.
func TestFailedExecKeepsLimit(t *testing.T) {
	const lowered = "UPGRADE_TEST_LOWERED"
	if os.Getenv(lowered) == "" { // a process whose limit the Go runtime raises
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command("/bin/sh", "-c", `ulimit -Sn 256 && exec "$0" -test.run='^TestFailedExecKeepsLimit$'`, self)
		c.Env = append(os.Environ(), lowered+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	u, pool := rig(t)
	u.Path = filepath.Join(t.TempDir(), "none")
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := u.Exec(pool); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the upgrade failed with %v", err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after); err != nil || after != before {
		t.Errorf("the limit of files is %+v, %v, want %+v", after, err, before)
	}
}

// A pending signal is for this program.
func TestExecBusy(t *testing.T) {
	u, pool := rig(t)
	u.Signals.c <- syscall.SIGTERM
	u.Execve = func(string, []string, []string) error {
		t.Error("the new program is executed")
		return nil
	}
	if err := u.Exec(pool); !errors.Is(err, supervise.ErrBusy) {
		t.Errorf("the upgrade failed with %v", err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for name, c := range map[string]struct{ script, want string }{
		"accepts":                 {`test "$*" = "--check --port 0" && test "$A" = b && echo fine`, ""},
		"refuses":                 {`echo "refuses: --port x: no number" >&2; exit 64`, "--port x: no number"},
		"is silent":               {`exit 3`, "check " + filepath.Join(dir, "is silent") + ": exit status 3"},
		"is endless":              {`head -c 1000000 /dev/zero | tr '\000' x >&2; exit 1`, strings.Repeat("x", maxOutput)},
		"fails late":              {`echo fine; kill -9 $$`, "check " + filepath.Join(dir, "fails late") + ": signal: killed: fine"},
		"is killed":               {`echo warning >&2; kill -9 $$`, "check " + filepath.Join(dir, "is killed") + ": signal: killed: warning"},
		"leaves a process behind": {"echo fine; sleep 3 &", ""}, // which holds the pipes
		"is missing":              {"", "check " + none + ": fork/exec " + none + ": no such file or directory"},
	} {
		u := Upgrader{
			Path: filepath.Join(dir, name), Args: []string{"--port", "0"}, Env: []string{"A=b"},
			Settings: func() error { return nil },
		}
		if c.script == "" {
			u.Path = none
		} else if err := os.WriteFile(u.Path, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := u.Check(t.Context()); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("a binary that %s: %q, want %q", name, got, c.want)
		}
	}
	wrong := errors.New("--port has changed")
	u := Upgrader{Path: none, Settings: func() error { return wrong }}
	if err := u.Check(t.Context()); err != wrong {
		t.Errorf("wrong settings: %v", err)
	}
}

// The exit status of the binary that checks may be lost, but not its output.
func TestCheckReaped(t *testing.T) {
	signal.Ignore(syscall.SIGCHLD) // so that the kernel reaps it
	defer func() {                 // signal.Reset would leave it ignored
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGCHLD)
		signal.Stop(c)
	}()
	path := filepath.Join(t.TempDir(), "master")
	for script, want := range map[string]string{
		`echo fine`: "",
		`echo "master: --port x: no number" >&2; exit 64`: "--port x: no number",
		`kill -9 $$`: ": no child processes",
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		u := Upgrader{Path: path, Settings: func() error { return nil }}
		got := ""
		if err := u.Check(t.Context()); err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

func TestInheritErrors(t *testing.T) {
	state := func(text string) string {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Pwrite(fd, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(fd)
	}
	for text, want := range map[string]string{
		"x":                                    `PHALANX_UPGRADE="x": strconv.Atoi: parsing "x": invalid syntax`,
		"-1":                                   `PHALANX_UPGRADE="-1" is not a descriptor`,
		state(""):                              "read the pool's state: EOF",
		state(`{"Sockets":[3],"Slots":[0,1]}`): "the pool's state has 1 sockets for 2 slots",
		state(`{}`):                            "the pool's state has 0 sockets for 0 slots",
	} {
		if _, err := Inherit(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Workers whose rows cannot be read get no row of the new scoreboard.
func TestScoreboard(t *testing.T) {
	var first *Carried
	if b, err := first.Scoreboard(); err != nil || b == nil {
		t.Fatalf("the first program has no scoreboard: %v", err)
	}
	old := &Carried{Pool: supervise.State{Workers: []supervise.WorkerState{{Row: 0}}}} // of a program that knew no rows
	if _, err := old.Scoreboard(); err != nil || old.Pool.Workers[0].Row != -1 {
		t.Errorf("its worker has row %d, %v", old.Pool.Workers[0].Row, err)
	}
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	row, seat, err := board.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	seat.Requests[2].Add(3)
	for layout, want := range map[int]int{scoreboard.Layout: row, scoreboard.Layout + 1: -1} {
		state := board.State()
		if state.Fd, err = unix.Dup(state.Fd); err != nil {
			t.Fatal(err)
		}
		state.Layout = layout
		c := &Carried{Board: &state, Pool: supervise.State{Workers: []supervise.WorkerState{{Row: row}}}}
		next, err := c.Scoreboard()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Pool.Workers[0].Row; got != want || next.Read().Slots[0].Answered() != 3 {
			t.Errorf("layout %d: row %d and %d requests, want row %d and 3", layout, got, next.Read().Slots[0].Answered(), want)
		}
	}
}

// The state of an older program, with a single address, is applied to the address in the options.
func TestInheritOld(t *testing.T) {
	sockets, err := listen.Open(listen.Config{Addresses: []listen.Address{{Host: "127.0.0.1"}}, Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets.Close() })
	var old Carried
	st := sockets.State()[0]
	for i, fd := range st.Sockets {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		old.Sockets, old.Slots = append(old.Sockets, dup), append(old.Slots, st.Slots[i])
	}
	old.Passed = old.Sockets[1]
	only := listen.Address{Host: "127.0.0.1", Short: true}
	again, err := old.Inherited(only)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	only.Port = sockets.Addresses()[0].Port
	if got := again.Addresses(); len(got) != 1 || got[0] != only {
		t.Errorf("the new program listens on %v, want %v", got, only)
	}
	if again.Sockets(0)[0].Foreign || !again.Sockets(1)[0].Foreign {
		t.Error("another socket is foreign")
	}
}

// With several addresses an older program, which knows one, finds none and reports that.
func TestExecSeveral(t *testing.T) {
	u, pool := rig(t)
	several, err := listen.Open(listen.Config{Addresses: []listen.Address{{Host: "127.0.0.1"}, {Host: "127.0.0.1", Secure: true}}, Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { several.Close() })
	u.Sockets = several
	u.Execve = func(_ string, _, env []string) error {
		file, err := strconv.Atoi(strings.TrimPrefix(env[len(env)-1], Key+"="))
		if err != nil {
			t.Fatal(err)
		}
		copied, err := unix.Dup(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Inherit(strconv.Itoa(copied))
		if err != nil || len(c.Sockets) != 0 || !reflect.DeepEqual(c.Listen, several.State()) {
			t.Errorf("carried %+v, %v", c, err)
		}
		for _, st := range several.State() {
			for _, fd := range st.Sockets {
				if !kept(t, fd) {
					t.Errorf("descriptor %d is closed", fd)
				}
			}
		}
		return syscall.ENOEXEC
	}
	if err := u.Exec(pool); !errors.Is(err, syscall.ENOEXEC) {
		t.Errorf("the upgrade failed with %v", err)
	}
}
