// Package upgrade executes the master's new binary in place: the process keeps its pid and its
// children. The state that the new binary needs ([Carried]) is passed in a memfd, whose
// descriptor is in an environment variable ([Key]). An [Upgrader] first lets the new binary
// check its options.
package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/keyring"
	"phalanx/internal/listen"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/supervise"
)

// Key is the environment variable with the descriptor; [Inherit] parses its value. Workers
// must not get it.
const Key = "PHALANX_UPGRADE"

// checkTime is the time limit of the new binary for checking its options.
const checkTime = 10 * time.Second

// Carried is the state that is passed to the new binary. Field names must not change, because
// it may have another version.
type Carried struct {
	Pool     supervise.State
	Listen   []listen.State    // by address; empty: from a version with a single address
	Sockets  []int             // for such a version: descriptors, in the kernel's order
	Slots    []int             // slot of each
	Passed   int               // the one of them from systemd; 0: none
	Board    *scoreboard.State // nil: from a version without one
	Admin    int               // descriptor of the admin endpoint's listener; 0: none
	Doorbell []int             `json:",omitempty"` // descriptors of the access log's doorbell, read and write end; none: from a version without it
	Lost     uint64            // lost lines of the access log so far
	Started  time.Time         // when the first binary was started
	Nohup    bool              // SIGHUP was ignored at the start, as with nohup(1)
	Keys     *keyring.State    `json:",omitempty"` // nil: no HTTPS

	Unwritten []byte `json:",omitempty"` // log lines that are not written yet
	Dropped   int    `json:",omitempty"` // log lines dropped since the last report
}

// Upgrader executes the binary at Path with the arguments and the environment of this process.
// All fields except Keys and Execve are required.
type Upgrader struct {
	Path     string
	Name     string       // argv[0]
	Args     []string     // without the name
	Env      []string     // without Key
	Settings func() error // checks the current options against those in force
	Sockets  *listen.Set
	Board    *scoreboard.Board
	Admin    int // see Carried
	Doorbell []int
	Log      Log
	Leave    func() (unwritten []byte, dropped int, resume func()) // suspends the log until resume; for the results see [Carried]
	Started  time.Time
	Signals  *Signals              // the master's; a waiting signal postpones the upgrade
	Nohup    bool                  // see Carried
	Keys     func() *keyring.State // nil: no HTTPS

	Execve func(path string, argv, env []string) error // syscall.Exec
}

// Log is the access log, which must not read the workers' rings during execve.
type Log interface {
	Lost() uint64 // lines so far
	Left() uint64 // lines that execve loses
	Suspend()
	Resume()
}

// Exec executes the new binary. It returns only if that fails, with [supervise.ErrBusy] if a
// signal is waiting.
func (u Upgrader) Exec(pool supervise.State) error {
	u.Log.Suspend()
	defer u.Log.Resume()
	unwritten, dropped, resume := u.Leave()
	defer resume()
	board := u.Board.State()
	c := Carried{Pool: pool, Listen: u.Sockets.State(), Nohup: u.Nohup, Board: &board, Admin: u.Admin, Doorbell: u.Doorbell, Lost: u.Log.Lost() + u.Log.Left(), Started: u.Started, Unwritten: unwritten, Dropped: dropped}
	if u.Keys != nil {
		c.Keys = u.Keys()
	}
	if only := c.Listen[0]; len(c.Listen) == 1 && only.Address.Short {
		c.Sockets, c.Slots, c.Passed = only.Sockets, only.Slots, only.Passed
	}
	file, err := c.file()
	if err != nil {
		return err
	}
	defer file.Close()
	fds := []int{int(file.Fd()), board.Fd}
	for _, st := range c.Listen {
		fds = append(fds, st.Sockets...)
	}
	fds = append(fds, u.Doorbell...)
	if u.Admin > 0 {
		fds = append(fds, u.Admin)
	}
	fds = append(fds, pool.Descriptors()...)
	// Processes started by other goroutines must not inherit these descriptors.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	if err := closeOnExec(fds, false); err != nil {
		return errors.Join(err, closeOnExec(fds, true))
	}
	err = u.execute(append(slices.Clone(u.Env), Key+"="+strconv.Itoa(fds[0])))
	return errors.Join(fmt.Errorf("execute %s: %w", u.Path, err), closeOnExec(fds, true))
}

// Check checks the current options, and then runs the new binary with --check, for at most ten
// seconds or until ctx ends. The error is that of Settings, what a binary that has exited has written
// to standard error, or how it has ended.
func (u Upgrader) Check(ctx context.Context) error {
	if err := u.Settings(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.Path, append([]string{"--check"}, u.Args...)...)
	cmd.Env = u.Env
	cmd.Stdin = strings.NewReader("") // os/exec would open /dev/null
	cmd.WaitDelay = time.Second       // a grandchild may hold the pipe
	var out, complaints beginning
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	complaint := strings.TrimSpace(string(complaints))
	exited := cmd.ProcessState == nil || cmd.ProcessState.Exited() // nil: not started, or reaped
	switch {
	case cmd.ProcessState != nil && cmd.ProcessState.Success():
		return nil // whoever else holds a pipe
	case errors.Is(err, syscall.ECHILD) && len(out) > 0 && len(complaints) == 0:
		// As process 1, the master reaps all children and may have reaped this one, so that its
		// exit status is lost. Only a successful check writes to standard output, and nothing to
		// standard error.
		return nil
	case exited && complaint != "":
		return errors.New(strings.TrimPrefix(complaint, filepath.Base(u.Path)+": "))
	case !exited && ctx.Err() == context.DeadlineExceeded:
		err = fmt.Errorf("not done within %v", checkTime)
	}
	if words := strings.TrimSpace(string(complaints) + string(out)); words != "" {
		return fmt.Errorf("check %s: %w: %s", u.Path, err, words)
	}
	return fmt.Errorf("check %s: %w", u.Path, err)
}

// maxOutput is how many bytes of the new binary's output are reported.
const maxOutput = 4096

// beginning keeps the beginning of what a program writes: a wrong one may write without end.
type beginning []byte

// Write implements [io.Writer].
func (b *beginning) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxOutput-len(*b))]...)
	return len(p), nil
}

// file returns a memfd with the state.
func (c Carried) file() (*os.File, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return ipc.Sealed("phalanx", text)
}

func closeOnExec(fds []int, on bool) error {
	flag := 0
	if on {
		flag = unix.FD_CLOEXEC
	}
	var errs []error
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag); err != nil {
			errs = append(errs, fmt.Errorf("pass descriptor %d on: %w", fd, err))
		}
	}
	return errors.Join(errs...)
}

// execute calls execve(2) while no signal is waiting in this program. Later signals are
// delivered to the new one.
func (u Upgrader) execute(env []string) (err error) {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		// If syscall.Exec fails, it leaves the limit that was in force before the Go runtime has raised it.
		defer unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	free, heldErr := u.Signals.held(func() {
		execve := u.Execve
		if execve == nil {
			execve = syscall.Exec
		}
		err = execve(u.Path, append([]string{u.Name}, u.Args...), env)
	})
	if !free && heldErr == nil {
		return supervise.ErrBusy
	}
	return errors.Join(err, heldErr)
}

// Inherit reads the state from the descriptor in text, the value of [Key], and closes it.
func Inherit(text string) (*Carried, error) {
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", Key, text, err)
	}
	file := os.NewFile(uintptr(fd), "state")
	if file == nil {
		return nil, fmt.Errorf("%s=%q is not a descriptor", Key, text)
	}
	defer file.Close()
	var c Carried
	if err := json.NewDecoder(io.NewSectionReader(file, 0, 1<<30)).Decode(&c); err != nil {
		return nil, fmt.Errorf("read the pool's state: %w", err)
	}
	if len(c.Listen) == 0 && (len(c.Sockets) == 0 || len(c.Sockets) != len(c.Slots)) {
		return nil, fmt.Errorf("the pool's state has %d sockets for %d slots", len(c.Sockets), len(c.Slots))
	}
	return &c, nil
}

// Inherited returns the listening sockets of the old binary. only is their address if the old
// binary knew a single one.
func (c *Carried) Inherited(only listen.Address) (*listen.Set, error) {
	if len(c.Listen) == 0 {
		return listen.Inherit([]listen.State{{Address: only, Sockets: c.Sockets, Slots: c.Slots, Passed: c.Passed}})
	}
	return listen.Inherit(c.Listen)
}

// Scoreboard returns the scoreboard of the old binary, or a new one. Workers whose rows this
// version cannot read are not counted until they are replaced.
func (c *Carried) Scoreboard() (*scoreboard.Board, error) {
	if c == nil {
		return scoreboard.New()
	}
	if c.Board == nil || c.Board.Layout != scoreboard.Layout {
		for i := range c.Pool.Workers {
			c.Pool.Workers[i].Row = -1
		}
	}
	if c.Board == nil {
		return scoreboard.New()
	}
	return scoreboard.Resume(*c.Board)
}
