package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/compress"
	"phalanx/internal/exitcode"
	"phalanx/internal/helper"
	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/sandbox"
)

// The descriptors and environment variables of a helper.
const (
	helperChannel = 3
	helperCache   = 4
	helperKey     = "HELPER_AS" // its user, see package sandbox; "": the master's
	helperSizeKey = "HELPER_CACHE_SIZE"
	helperNoBox   = "HELPER_NOT_CONFINED"
)

// newHelper returns the runner of helpers, each of which has the options that are in force when it
// is started, and opens the cache directory then.
func newHelper(o func() options.Options, opened func(dir fs.FileInfo), log func(string)) *helper.Runner {
	return helper.NewRunner(helper.Config{Start: func(channel *os.File) (helper.Process, error) { return startHelper(o(), opened, channel) }, Log: log})
}

// startHelper starts a helper.
func startHelper(o options.Options, opened func(dir fs.FileInfo), channel *os.File) (helper.Process, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	cache, err := openCache(o)
	if err != nil {
		return nil, err
	}
	defer cache.Close()
	c := exec.Command(path, "helper")
	p := &helperProcess{cmd: c, began: time.Now()}
	c.Env = []string{helperKey + "=" + o.Identity, helperSizeKey + "=" + strconv.FormatInt(int64(o.CacheSize), 10), "GOMAXPROCS=1"}
	if o.Confine == options.Off {
		c.Env = append(c.Env, helperNoBox+"=1")
	}
	c.ExtraFiles = []*os.File{channel, cache}
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(""), &p.words, &p.words // os/exec would open /dev/null for nil
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if dir, err := cache.Stat(); err == nil {
		opened(dir)
	}
	return p, nil
}

// helperProcess is a running helper.
type helperProcess struct {
	cmd   *exec.Cmd
	began time.Time
	words lastWords
}

func (p *helperProcess) PID() int { return p.cmd.Process.Pid }

// Kill kills the helper. It leaves no incomplete files in the cache.
func (p *helperProcess) Kill() { _ = p.cmd.Process.Kill() } // an error means that it has exited

// Wait waits for the helper to exit and returns why it has.
func (p *helperProcess) Wait() error {
	err := p.cmd.Wait()
	state := p.cmd.ProcessState
	switch {
	case errors.Is(err, syscall.ECHILD):
		return p.reaped()
	case err == nil, state == nil:
		return err
	}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return fmt.Errorf("killed by %s", unix.SignalName(status.Signal()))
	}
	if line := p.words.line(); line != "" {
		return errors.New(line)
	}
	return fmt.Errorf("exit code %d", state.ExitCode())
}

// reaped returns why a helper has exited whose status is lost: as process 1 of a container the
// master may reap it with the orphans, and the kernel does if SIGCHLD is ignored. It has died,
// and must not be started again at once, unless it may have been idle.
func (p *helperProcess) reaped() error {
	if time.Since(p.began) >= helper.IdleTime {
		return nil
	}
	return errors.New(cmp.Or(p.words.line(), "exit status unknown"))
}

// lastWords keeps the first 1000 bytes that a process writes.
type lastWords struct{ text []byte }

// line returns the first line, "" if there is none.
func (w *lastWords) line() string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(w.text), []byte("\n"))
	return human.Visible(string(line))
}

// Write implements [io.Writer].
func (w *lastWords) Write(p []byte) (int, error) {
	const most = 1000
	w.text = append(w.text, p[:min(len(p), most-min(len(w.text), most))]...)
	return len(p), nil
}

// runHelper runs the helper: it confines itself and does jobs.
func runHelper() error {
	nameProcess("phalanx-helper")
	if err := sandbox.Become(os.Getenv(helperKey)); err != nil {
		return err
	}
	most, err := strconv.ParseInt(os.Getenv(helperSizeKey), 10, 64)
	if err != nil {
		return errors.New("helper: is started by the master")
	}
	_ = sandbox.Background() // as far as the kernel allows
	room := boundHelper()
	channel, err := ipc.Open(helperChannel)
	if err != nil {
		return err
	}
	unix.CloseOnExec(helperCache)
	if os.Getenv(helperNoBox) == "" {
		_ = sandbox.ConfineKeeping(helperCache) // as far as the kernel supports it
	}
	store, err := compress.OpenStore(helperCache, most)
	if err != nil {
		return fmt.Errorf("read the cache directory: %w", err)
	}
	return helper.Work(channel, room, helper.IdleTime, func(ctx context.Context, j helper.Job) ipc.JobDone { return doJob(ctx, store, j) })
}

// boundHelper limits this process's memory and returns the number of jobs for which it has
// descriptors. Errors are ignored: another limit is in force then.
func boundHelper() (jobs int) {
	const memory = 768 << 20
	debug.SetMemoryLimit(memory / 2)
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory})
	files := unix.Rlimit{Cur: 256}
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Cur = min(files.Max, 4096)
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	return int(files.Cur) * 3 / 4
}

// doJob does a job. A panic in a library fails only that job.
func doJob(ctx context.Context, store *compress.Store, j helper.Job) (done ipc.JobDone) {
	defer func() {
		if e := recover(); e != nil {
			done = ipc.JobDone{Outcome: ipc.JobFailed, Reason: fmt.Sprintf("compress a file: %v", e), Kept: store.Kept()}
		}
	}()
	var made bool
	var err error
	unworthy, what := ipc.JobUseless, "compress into the cache directory: %v; files without a copy are sent uncompressed"
	if j.Kind == ipc.JobDigest || j.Kind == ipc.JobCopyDigest {
		unworthy, what = ipc.JobKnown, "put a digest into the cache directory: %v; responses have no ETag of the content"
		made, err = store.AddDigest(ctx, j.File, j.Kind == ipc.JobCopyDigest)
	} else {
		done.After, made, err = store.Add(ctx, j.File, proto.Coding(j.Kind))
	}
	done.Kept = store.Kept()
	switch {
	case errors.Is(err, compress.ErrNotWorth):
		done.Outcome = unworthy
	case err != nil:
		done.Outcome, done.Reason = ipc.JobFailed, whyFailed(what, err)
	case !made:
		done.Outcome = ipc.JobKnown
	}
	if done.After > 1<<20 {
		runtime.GC() // free the memory of a large file before the next job
	}
	return done
}

// whyFailed is what an operator has to know of a failed job; "": nothing. A deploy changes files
// while they are read, and a line about it would silence the next one for a while.
func whyFailed(what string, err error) string {
	if errors.Is(err, compress.ErrChanged) {
		return ""
	}
	return fmt.Sprintf(what, err)
}

// openCache opens the cache directory, which it creates if need be. It must belong to the user
// of workers and helper, and others must not have write permission, because its files are sent
// to clients.
func openCache(o options.Options) (*os.File, error) {
	dir, owner := string(o.CacheDir), os.Geteuid()
	var id sandbox.Identity
	if o.Identity != "" {
		var err error
		if id, err = sandbox.ParseIdentity(o.Identity); err != nil {
			return nil, err
		}
		owner = id.User
	}
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		if err = os.Mkdir(dir, 0o700); err == nil && o.Identity != "" {
			err = os.Chown(dir, id.User, id.Group)
		} else if errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	}
	if err != nil {
		return nil, badCache(dir, strings.TrimPrefix(err.Error(), "mkdir "+dir+": "), "choose another directory", err)
	}
	var st unix.Stat_t
	switch err = unix.Fstat(int(f.Fd()), &st); {
	case err != nil:
		err = badCache(dir, err.Error(), "choose another directory", err)
	case int(st.Uid) != owner:
		err = badCache(dir, fmt.Sprintf("belongs to user %d, and workers run as user %d", st.Uid, owner), "change its owner, or name one that does not exist yet", nil)
	case st.Mode&0o022 != 0:
		err = badCache(dir, "others can write there", "chmod go-w it, or name one that does not exist yet", nil)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func badCache(dir, what, cure string, err error) error {
	return exitcode.New(exitcode.Config, fmt.Sprintf("--cache-dir %s: %s; %s", human.Quoted(dir), what, cure), err)
}

// checkCache returns an error if the cache directory is needed and cannot be used.
func checkCache(o options.Options) error {
	if !o.Caches() {
		return nil
	}
	f, err := openCache(o)
	if err != nil {
		return err
	}
	return f.Close()
}
