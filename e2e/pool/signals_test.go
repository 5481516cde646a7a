package pool

import (
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

var signalStep = flag.Duration("signal.step", 15*time.Millisecond, "time between the moments of an upgrade at which a signal is sent")

// moment is a time after a log line.
type moment struct {
	after time.Duration
	line  string
}

func (m moment) String() string { return fmt.Sprintf("%v after %q", m.after, m.line) }

// TestSignalsAtUpgrade sends each signal at many moments of an upgrade: the old or the new program handles
// it.
func TestSignalsAtUpgrade(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			s := serveOne(t)
			atEachMoment(func(m moment) (during bool) {
				before := received(s, sig)
				if sig == syscall.SIGUSR2 {
					before++ // the first one
				}
				during = upgradeUntil(s, m)
				s.Signal(sig)
				s.Log.Await(t, 10*time.Second, fmt.Sprintf("%v, sent %v and the upgrade", sig, m), s.Exited, func(all []harness.Event) bool {
					return received(s, sig) > before && last(all, "master upgraded") > last(all, "upgrade requested")
				})
				return during
			})
			s.Stop(5 * time.Second)
		})
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			atEachMoment(func(m moment) (during bool) {
				s := serveOne(t)
				during = upgradeUntil(s, m)
				s.Signal(sig)
				if code := s.Wait(10 * time.Second); code != 0 {
					t.Errorf("%v, sent %v: exit status %d", sig, m, code)
				}
				return during
			})
		})
	}
}

// atEachMoment calls f for moments of an upgrade until one comes after its end. The new program needs two
// milliseconds to start; the moments are closer together there.
func atEachMoment(f func(moment) (during bool)) {
	for m := (moment{line: "upgrade requested"}); f(m); m.after += *signalStep {
		if slow := time.Second / 2; m.after > slow { // or a busy machine would need minutes
			m.after += m.after / 4
		}
	}
	for m := (moment{line: "executing new master"}); m.after < 3*time.Millisecond; m.after += *signalStep / 40 {
		f(m)
	}
}

// serveOne starts a pool that cannot be scaled by signals.
func serveOne(t *testing.T) *harness.Server {
	t.Helper()
	return harness.Serve(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--model", "goroutine")
}

// upgradeUntil begins an upgrade, returns at a moment of it, and reports whether it was still under way.
func upgradeUntil(s *harness.Server, m moment) (during bool) {
	s.T.Helper()
	all, _ := s.Log.All()
	s.Signal(syscall.SIGUSR2)
	s.Log.Await(s.T, 10*time.Second, m.line, s.Exited, func(now []harness.Event) bool { return last(now, m.line) >= len(all) })
	time.Sleep(m.after) // the time of the moment, not a wait for a condition
	now, _ := s.Log.All()
	return last(now, "master upgraded") < len(all)
}

// last returns the index of the last event with a message, or -1.
func last(all []harness.Event, message string) int {
	for i, e := range slices.Backward(all) {
		if e.Text("message") == message {
			return i
		}
	}
	return -1
}

// received returns how many times the master has received a signal.
func received(s *harness.Server, sig syscall.Signal) int {
	all, _ := s.Log.All()
	n := 0
	for _, e := range harness.WithMessage(all, "signal received") {
		if e.Text("signal") == unix.SignalName(sig) {
			n++
		}
	}
	return n
}

// inherited lists the signals that the master handles, as env(1) names them.
const inherited = "HUP,INT,QUIT,TERM,TTIN,TTOU,USR1,USR2"

// TestSignalsInherited starts a master with signals blocked or ignored by its parent: it handles them all
// the same.
func TestSignalsInherited(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	for _, option := range []string{"--block-signal=" + inherited, "--block-signal=TERM,TTIN", "--ignore-signal=" + inherited, "--ignore-signal=INT,QUIT"} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			s := harness.ServeAs(t, harness.Plan{Before: []string{"env", option}, Args: append(harness.Verbosely(base), "--model", "goroutine")})
			for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU} {
				s.Signal(sig)
				s.Log.Await(t, 10*time.Second, sig.String(), s.Exited, func([]harness.Event) bool { return received(s, sig) == 1 })
			}
			s.Log.Await(t, 10*time.Second, "a reload after the upgrade", s.Exited, func(all []harness.Event) bool {
				upgraded := last(all, "master upgraded")
				return upgraded > last(all, "upgrade requested") && last(all, "workers replaced") > upgraded
			})
			old := s.AwaitWorkers(1)
			harness.Kill(t, old[0], syscall.SIGTERM) // the workers of the new program handle signals too
			s.AwaitWorkers(1, old...)
			s.Signal(syscall.SIGTERM)
			s.MustExit(5 * time.Second)
		})
	}
}

// TestSignalsPending starts the master while signals are pending, as after an execve(2): none ends it before
// it reads them. The test fails if the Go runtime's signal table differs from the one that internal/upgrade
// assumes. A command ends on signals like any program.
func TestSignalsPending(t *testing.T) {
	t.Parallel()
	run := func(blocked, argument string) error {
		return exec.Command("env", "--block-signal="+blocked, "sh", "-c",
			`for s in HUP INT QUIT TERM; do kill -$s $$; done; exec "$0" "$1"`, harness.Binary("master"), argument).Run()
	}
	const fatalSignals = "HUP,INT,QUIT,TERM"
	for _, c := range []struct{ blocked, argument string }{{inherited, "version"}, {inherited, "--version"}, {fatalSignals, "--version"}} {
		if err := run(c.blocked, c.argument); err != nil {
			t.Errorf("%s pending, master %s: %v", c.blocked, c.argument, err)
		}
	}
	if err := run(fatalSignals, "version"); err == nil {
		t.Error("a command ignores pending signals")
	}
}
