package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/listen"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
)

// An upgrade executes the master's binary, as it is now, in place: the process
// stays, its children stay its own, and what the new program needs to go on
// with them travels in a file without a name, whose descriptor an environment
// variable tells.

// carriedKey names that variable.
const carriedKey = "PHALANX_UPGRADE"

// checkTime is how long the new binary may take to check the options.
const checkTime = 10 * time.Second

// carried is what travels.
type carried struct {
	Pool    supervise.State
	Sockets []int // descriptors, in the kernel's order
	Slots   []int // of each
	Passed  int   // the one of them that systemd passed on; 0: none
	Nohup   bool  // the end of the terminal is nothing to care about
}

// upgrader executes the binary at path with the arguments this one got.
type upgrader struct {
	path    string
	args    []string
	now     options.Options // those in force
	sockets *listen.Set
	signals <-chan os.Signal
	nohup   bool
}

// exec returns only when the new binary cannot be executed, or does not accept
// the options.
func (u upgrader) exec(pool supervise.State) error {
	c := carried{Pool: pool, Passed: u.sockets.Passed(), Nohup: u.nohup}
	c.Sockets, c.Slots = u.sockets.Export()
	file, err := c.file()
	if err != nil {
		return err
	}
	defer unix.Close(file)
	fds := append([]int{file}, c.Sockets...)
	for _, w := range pool.Workers {
		fds = append(fds, w.Channel, w.Output)
	}
	if err := closeOnExec(fds, false); err != nil {
		return errors.Join(err, closeOnExec(fds, true))
	}
	env := append(os.Environ(), carriedKey+"="+strconv.Itoa(file))
	err = u.execute(env)
	return errors.Join(fmt.Errorf("execute %s: %w", u.path, err), closeOnExec(fds, true))
}

// check looks at the options as they are now, and lets the new binary do so, in
// a process of its own.
func (u upgrader) check() error {
	o, _, err := settings(u.args)
	if err != nil {
		return err
	}
	if name := options.NeedsRestart(u.now, o); name != "" {
		return fmt.Errorf("--%s has changed, which needs a restart", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.path, append([]string{"--check"}, u.args...)...)
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if words := strings.TrimSpace(string(out)); words != "" {
		return errors.New(strings.TrimPrefix(words, "phalanx: "))
	}
	return fmt.Errorf("check %s: %w", u.path, err)
}

// file writes what travels into a file that has no name.
func (c carried) file() (int, error) {
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

// execute is execve(2) with the master's signals held back until the new
// program asks for them: in between they would end the process. What has come
// before is for this program. (A signal that another thread takes in the
// microseconds between the last look and the call is lost.)
func (u upgrader) execute(env []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var held, before unix.Sigset_t
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR2} {
		held.Val[(sig-1)/64] |= 1 << ((sig - 1) % 64)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &held, &before); err != nil {
		return err
	}
	err := error(supervise.ErrBusy)
	if len(u.signals) == 0 {
		err = syscall.Exec(u.path, append([]string{u.path}, u.args...), env)
	}
	return errors.Join(err, unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil))
}

// inherited returns what the program before has left for this one, nil if there
// was none.
func inherited() (*carried, error) {
	text, ok := os.LookupEnv(carriedKey)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(carriedKey) // the workers are not to see it
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%q: %w", carriedKey, text, err)
	}
	file := os.NewFile(uintptr(fd), "state")
	if file == nil {
		return nil, fmt.Errorf("%s=%q is no descriptor", carriedKey, text)
	}
	defer file.Close()
	var c carried
	if err := json.NewDecoder(io.NewSectionReader(file, 0, 1<<30)).Decode(&c); err != nil {
		return nil, fmt.Errorf("read the pool's state: %w", err)
	}
	if len(c.Sockets) == 0 || len(c.Sockets) != len(c.Slots) {
		return nil, fmt.Errorf("the pool's state has %d sockets for %d slots", len(c.Sockets), len(c.Slots))
	}
	return &c, nil
}

// open opens the listening sockets, or goes on with those of the program before.
func open(o options.Options, slots int, before *carried) (*listen.Set, error) {
	cfg := listen.Config{Bind: string(o.Bind), Port: int(o.Port), Slots: slots}
	if before == nil {
		var err error
		if cfg.Socket, err = passed(); err != nil {
			return nil, err
		}
		return listen.Open(cfg)
	}
	cfg.Socket = before.Passed
	return listen.Inherit(cfg, before.Sockets, before.Slots)
}
