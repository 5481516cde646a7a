package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/internal/ipc"
)

// The pool serves only when all of its workers are ready.
func TestServeWhenAllAreReady(t *testing.T) {
	run(t, 3, func(r *rig) {
		r.expect(3)
		r.hello(0, 2)
		r.expect(3)
		r.told(0)
		r.hello(1)
		r.expect(3, "serving")
		for i := range 3 {
			r.told(i, ipc.Serve{})
		}
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
		r.expect(3, "serving", "drain")
		for i := range 3 {
			r.signalled(i, syscall.SIGINT)
		}
	})
}

// A worker that fails to start ends the others, and its error becomes that of the pool.
func TestStartFails(t *testing.T) {
	const cure = "; build it with make, or name it with --worker PATH"
	stack := "panic: boom\x1b\n\ngoroutine 1 [running]:\nmain.main()"
	tests := []struct {
		name string
		fail func(*rig)
		code int
		text string
	}{
		{"configuration", func(r *rig) {
			r.send(ipc.Failed{ExitCode: 78, Reason: "open root \"/x\": permission denied"}, 1)
			r.die(1, Exit{Code: 78})
		}, 78, `open root "/x": permission denied`},
		{"run time", func(r *rig) {
			r.send(ipc.Failed{ExitCode: 3, Reason: "no memory"}, 1)
			r.die(1, Exit{Code: 3})
		}, 1, "no memory"},
		{"control characters", func(r *rig) {
			r.send(ipc.Failed{ExitCode: 3, Reason: "no\n\x1b[2Jroot"}, 1)
			r.die(1, Exit{Code: 3})
		}, 1, `no\x0a\x1b[2Jroot`},
		{"announced, but does not exit", func(r *rig) {
			r.send(ipc.Failed{ExitCode: 78, Reason: "no root"}, 1)
			r.pass(startTime)
		}, 78, "no root"},
		{"panic", func(r *rig) { r.die(1, Exit{Code: 2, LastWords: stack, Crash: "panic: boom\x1b"}) },
			1, `worker 1 (pid 102) died during startup: exit status 2: panic: boom\x1b`},
		{"signal", func(r *rig) { r.die(1, Exit{Signal: syscall.SIGSEGV}) },
			1, "worker 1 (pid 102) died during startup: killed by SIGSEGV"},
		{"never ready", func(r *rig) { r.pass(startTime) },
			78, "worker /bin/worker: does not behave like a worker of Phalanx 1 (not ready within 10s, killed)" + cure},
		{"invalid message", func(r *rig) { r.procs[1].gone <- errors.New("unknown kind 255") },
			78, "worker /bin/worker: does not behave like a worker of Phalanx 1 (unknown kind 255, killed)" + cure},
		{"channel closed", func(r *rig) { r.procs[1].gone <- io.EOF; r.pass(closedTime) },
			78, "worker /bin/worker: does not behave like a worker of Phalanx 1 (closed its control channel, killed)" + cure},
		{"another program", func(r *rig) { r.die(1, Exit{Code: 1, LastWords: "usage: cat\nno such option"}) },
			78, "worker /bin/worker: not a worker of Phalanx 1 (exit status 1: no such option)" + cure},
		{"another version", func(r *rig) { r.send(ipc.Ready{PID: 102, Version: "2"}, 1) },
			78, `worker /bin/worker: is version "2", not the master's "1"; build both with make, or name the right one with --worker PATH`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run(t, 3, func(r *rig) {
				r.hello(0, 2)
				tt.fail(r)
				r.ends(tt.code, tt.text)
				r.expect(3, "drain")
				r.signalled(0, syscall.SIGKILL)
				r.signalled(2, syscall.SIGKILL)
			})
		})
	}
}

// The start fails if a worker that was ready ends before the pool serves.
func TestReadyWorkerDiesBeforeServing(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(1)
		r.die(1, Exit{})
		r.ends(1, "worker 1 (pid 102) died during startup: exit status 0")
		r.expect(2, "drain")
	})
	run(t, 2, func(r *rig) {
		r.hello(1)
		r.send(ipc.Serve{}, 1)
		r.ends(1, "worker 1 (pid 102) died during startup: sent a ipc.Serve, killed")
		r.expect(2, "drain")
	})
}

// The error of a worker that cannot be spawned says what to do about it.
func TestSpawnFails(t *testing.T) {
	start := func(err error) error {
		return fmt.Errorf("start worker 1: %w", &fs.PathError{Op: "fork/exec", Path: "w", Err: err})
	}
	tests := []struct {
		err  error
		code int
		text string
	}{
		{start(syscall.ENOENT), 78, "worker /bin/worker: no such file or directory; build it with make, or name it with --worker PATH"},
		{start(syscall.ENOEXEC), 78, "worker /bin/worker: exec format error; build it with make, or name it with --worker PATH"},
		{start(syscall.EAGAIN), 1, "start worker 1: resource temporarily unavailable; raise the limit of processes (ulimit -u, TasksMax=)"},
		{start(syscall.EMFILE), 1, "start worker 1: too many open files; raise the limit of open files (ulimit -n, LimitNOFILE=)"},
		{start(syscall.ENOMEM), 1, "worker 1 died during startup: start worker 1: fork/exec w: cannot allocate memory"},
		{exec.ErrWaitDelay, 1, "worker 1 died during startup: " + exec.ErrWaitDelay.Error()},
	}
	for _, tt := range tests {
		r := &rig{spawn: func(slot int) error {
			if slot == 1 {
				return tt.err
			}
			return nil
		}}
		runRig(t, 3, r, func(r *rig) {
			r.ends(tt.code, tt.text)
			r.expect(1, "drain")
			r.signalled(0, syscall.SIGKILL)
		})
	}
}

// A slot is not quarantined because no process can be started for minutes.
func TestNoProcessForMinutes(t *testing.T) {
	run(t, 2, func(r *rig) {
		r.hello(0, 1)
		r.spawn = func(int) error { return syscall.EAGAIN }
		r.die(1, killed)
		r.pass(deathWindow)
		r.spawn = nil
		r.pass(longDelay)
		r.hello(2)
		r.told(2, ipc.Serve{})
		r.stop()
	})
}

// The connections of a dead worker are kept for as long.
func TestNoProcessForRescue(t *testing.T) {
	runRig(t, 1, keepingBusy(), func(r *rig) {
		r.hello(0)
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.hello(1)
		r.spawn = func(int) error { return syscall.EMFILE }
		r.die(0, killed)
		for range 10 {
			r.send(ipc.Alive{}, 1)
			r.pass(longDelay)
		}
		r.spawn = nil
		r.send(ipc.Alive{}, 1)
		r.pass(longDelay)
		r.hello(2)
		r.told(2, ipc.Rescue{})
		r.send(ipc.Rescued{Connections: 1}, 2)
		r.told(2, ipc.Rescue{}, ipc.Serve{})
		r.die(1, Exit{})
		r.signal(syscall.SIGTERM)
		r.die(2, Exit{})
		r.ends(0, "")
	})
}

// A worker that breaks the protocol is killed.
func TestProtocolViolations(t *testing.T) {
	for want, violate := range map[string]func(*rig){
		"reported ready twice":       func(r *rig) { r.hello(0) },
		"sent a ipc.Serve":           func(r *rig) { r.send(ipc.Serve{}, 0) },
		"not a message":              func(r *rig) { r.procs[0].gone <- errors.New("not a message") },
		"closed its control channel": func(r *rig) { r.procs[0].gone <- io.EOF; r.pass(closedTime) },
	} {
		run(t, 1, func(r *rig) {
			r.hello(0)
			violate(r)
			r.pass(0)
			r.signalled(0, syscall.SIGKILL)
			lived := ""
			if strings.HasPrefix(want, "closed") {
				lived = "; uptime 5s"
			}
			r.expect(2, "serving", "worker 0 (pid 101) died: "+want+", killed"+lived+"; respawning")
			r.stopBefore(1)
			r.ends(0, "")
		})
	}
}

// A worker that does not read its messages is killed: the pool does not wait for it.
func TestFullChannel(t *testing.T) {
	runRig(t, 1, &rig{tweak: func(f *fake) { f.full = f.pid == 101 }}, func(r *rig) {
		r.hello(0)
		r.expect(2, "serving", "worker 0 (pid 101) died: "+ipc.ErrFull.Error()+", killed; respawning")
		r.stopBefore(1)
		r.ends(0, "")
	})
}

// A death is one line of the log, with fields, and so is a clean exit.
func TestDeathIsOneLine(t *testing.T) {
	r := &rig{}
	r.change = func(c *Config) { c.Deaths = &c.Log }
	runRig(t, 1, r, func(r *rig) {
		r.hello(0)
		r.pass(time.Minute)
		r.die(0, Exit{Code: 3, LastWords: "out of luck"})
		r.hello(1)
		r.die(1, Exit{Code: 3})
		r.started(2)
		r.stopBefore(2)
		r.ends(0, "")
		r.logged(
			`{"level":"info","slot":0,"pid":101,"message":"worker started"}`,
			`{"level":"info","slot":0,"pid":101,"after_ms":0,"message":"worker ready"}`,
			`{"level":"warn","slot":0,"pid":101,"cause":"exit status 3: out of luck","uptime_ms":60000,"last_words":"out of luck","message":"worker 0 (pid 101) died: exit status 3: out of luck; uptime 1m0s; respawning"}`,
			`{"level":"info","signal":"SIGINT","message":"signal received"}`,
			`{"level":"info","message":"drain started"}`,
			`{"level":"info","message":"stopped"}`,
		)
	})
}
