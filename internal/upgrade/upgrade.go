// Package upgrade executes the master's binary, as it is now, in place: the
// process stays, its children stay its own, and what the new program needs to go
// on with them ([Carried]) travels in a file without a name, whose descriptor an
// environment variable ([Key]) tells. The caller reads and sets the environment
// and checks its settings; an [Upgrader] has the new binary do the same first.
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

	"phalanx/internal/keyring"
	"phalanx/internal/listen"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/supervise"
)

// Key is the environment variable that tells the descriptor; [Inherit] reads its
// value. The workers are not to see it.
const Key = "PHALANX_UPGRADE"

// checkTime is how long the new binary may take to check the options.
const checkTime = 10 * time.Second

// Carried is what travels. A program of another version may read it: the fields'
// names stay.
type Carried struct {
	Pool     supervise.State
	Listen   []listen.State    // by address; empty: of a program that had one
	Sockets  []int             // for such a program, which Listen says nothing to: descriptors, in the kernel's order
	Slots    []int             // of each
	Passed   int               // the one of them that systemd passed on; 0: none
	Board    *scoreboard.State // nil: of a program that had none
	Admin    int               // descriptor of the admin endpoint's listener; 0: none
	Doorbell []int             `json:",omitempty"` // those of the access log's doorbell, read and written; none: of a program without it
	Lost     uint64            // lines of the access log, so far
	Started  time.Time         // when the first program was
	Nohup    bool              // the end of the terminal is nothing to care about
	Keys     *keyring.State    `json:",omitempty"` // nil: there is no HTTPS

	Unwritten []byte `json:",omitempty"` // lines of the log that nobody has read yet
	Dropped   int    `json:",omitempty"` // lines of it since the last that said so
}

// Upgrader executes the binary at Path with the arguments and the environment
// that this program got. All but Keys and Execve is required.
type Upgrader struct {
	Path     string
	Name     string       // by which it was called
	Args     []string     // without the name
	Env      []string     // without Key
	Settings func() error // checks the settings as they are now against those in force
	Sockets  *listen.Set
	Board    *scoreboard.Board
	Admin    int // see Carried
	Doorbell []int
	Log      Log
	Leave    func() (unwritten []byte, dropped int, resume func()) // of the log, see [Carried]; it waits until resume
	Started  time.Time
	Signals  *Signals              // the master's; one that waits there comes first
	Nohup    bool                  // see Carried
	Keys     func() *keyring.State // nil: there is no HTTPS

	Execve func(path string, argv, env []string) error // syscall.Exec
}

// Log is the access log, which has to leave the workers' rings alone.
type Log interface {
	Lost() uint64
	Suspend()
	Resume()
}

// Exec returns only when the new binary cannot be executed; with
// [supervise.ErrBusy] if a signal has come.
func (u Upgrader) Exec(pool supervise.State) error {
	u.Log.Suspend()
	defer u.Log.Resume()
	unwritten, dropped, resume := u.Leave()
	defer resume()
	board := u.Board.State()
	c := Carried{Pool: pool, Listen: u.Sockets.State(), Nohup: u.Nohup, Board: &board, Admin: u.Admin, Doorbell: u.Doorbell, Lost: u.Log.Lost(), Started: u.Started, Unwritten: unwritten, Dropped: dropped}
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
	defer unix.Close(file)
	fds := []int{file, board.Fd}
	for _, st := range c.Listen {
		fds = append(fds, st.Sockets...)
	}
	fds = append(fds, u.Doorbell...)
	if u.Admin > 0 {
		fds = append(fds, u.Admin)
	}
	fds = append(fds, pool.Descriptors()...)
	// What another goroutine starts from here on would inherit all that, keys included.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	if err := closeOnExec(fds, false); err != nil {
		return errors.Join(err, closeOnExec(fds, true))
	}
	err = u.execute(append(slices.Clone(u.Env), Key+"="+strconv.Itoa(file)))
	return errors.Join(fmt.Errorf("execute %s: %w", u.Path, err), closeOnExec(fds, true))
}

// Check checks the current settings, and then runs the new binary to check them too,
// for at most ten seconds or until ctx ends. The error is that of the settings, or the
// output of the binary.
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
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	// Process 1 reaps children, and may have reaped this one. Then its exit status is
	// lost, but only one that is content writes to its standard output, and only there.
	if err == nil || errors.Is(err, syscall.ECHILD) && out.Len() > 0 && complaints.Len() == 0 {
		return nil
	}
	if words := strings.TrimSpace(complaints.String() + out.String()); words != "" {
		return errors.New(strings.TrimPrefix(words, filepath.Base(u.Path)+": "))
	}
	return fmt.Errorf("check %s: %w", u.Path, err)
}

// file writes what travels into a file that has no name.
func (c Carried) file() (int, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("phalanx", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("keep the pool's state: %w", err)
	}
	if _, err := unix.Pwrite(fd, text, 0); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("keep the pool's state: %w", err)
	}
	return fd, nil
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

// execute is execve(2), at a moment when no signal is on its way to this program:
// what comes later is for the new one.
func (u Upgrader) execute(env []string) (err error) {
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

// Inherit returns what the program before has left for this one; text is the
// value of [Key]. The descriptor that it tells is closed.
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

// Inherited takes over the listening sockets of the program before, which are those of
// the given address if it knew no others.
func (c *Carried) Inherited(only listen.Address) (*listen.Set, error) {
	if len(c.Listen) == 0 {
		return listen.Inherit([]listen.State{{Address: only, Sockets: c.Sockets, Slots: c.Slots, Passed: c.Passed}})
	}
	return listen.Inherit(c.Listen)
}

// Scoreboard takes over the scoreboard of the program before, or makes one. Workers
// whose rows this program cannot read are not counted until they are replaced.
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
