package harness

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// AwaitWorkers waits until the pool has n workers, none of them in gone, and
// returns their pids.
func (s *Server) AwaitWorkers(n int, gone ...int) []int {
	s.T.Helper()
	var pids []int
	Await(s.T, 20*time.Second, fmt.Sprintf("%d workers without %v", n, gone), func() bool {
		pids = s.Workers()
		return len(pids) == n && !slices.ContainsFunc(pids, func(pid int) bool { return slices.Contains(gone, pid) })
	})
	return pids
}

// Replace sends a signal that replaces all workers, and waits for n others.
func (s *Server) Replace(sig syscall.Signal, n int) {
	s.T.Helper()
	old := s.Workers()
	s.Signal(sig)
	s.AwaitWorkers(n, old...)
}

// OneForEach opens connections until each worker has one, and returns them by
// the worker's pid.
func (s *Server) OneForEach() map[int]*Client {
	s.T.Helper()
	owned := map[int]*Client{}
	end := time.Now().Add(InTime(5 * time.Second))
	for i := 0; i < 200 || time.Now().Before(end); i++ {
		if i >= 150 { // a worker may still be starting
			time.Sleep(50 * time.Millisecond)
		}
		c := s.Dial()
		s.MustAsk(c, Request("GET", "/"))
		owned[s.AwaitRequestOf(c).Number("pid")] = c
		if len(owned) == len(s.Workers()) {
			return owned
		}
	}
	s.T.Fatalf("connections went to %d workers only", len(owned))
	return nil
}

// AwaitText waits until standard error contains a text, which need not be JSON.
func (s *Server) AwaitText(text string) {
	s.T.Helper()
	s.Log.Await(s.T, 5*time.Second, fmt.Sprintf("text %q", text), s.Exited, func([]Event) bool {
		return strings.Contains(s.Log.String(), text)
	})
}

// MustReap waits until the master has reaped every child that has exited.
func (s *Server) MustReap() {
	s.T.Helper()
	Await(s.T, 2*time.Second, "reaping of all exited children", func() bool { return len(ZombiesOf(s.PID())) == 0 })
}

// PID returns the pid of the master, or of Plan.Before until that executes it.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Session lists the living processes of the master's session.
func (s *Server) Session() []Process { return inSession(s.PID()) }

// Workers lists the pids of the master's living workers.
func (s *Server) Workers() []int { return WorkersOf(s.PID()) }

// URL returns the URL of a path on 127.0.0.1.
func (s *Server) URL(path string) string {
	scheme := "http://"
	if s.Secure {
		scheme = "https://"
	}
	return scheme + Loopback(s.Port) + path
}

// Gone reports whether the master has exited.
func (s *Server) Gone() bool {
	select {
	case <-s.Exited:
		return true
	default:
		return false
	}
}

// Status returns the exit code, or -1 after a signal.
func (s *Server) Status() int { return s.cmd.ProcessState.ExitCode() }

// Interrupt sends SIGINT to the master alone.
func (s *Server) Interrupt() { s.Signal(syscall.SIGINT) }

// Signal sends a signal to the master alone.
func (s *Server) Signal(sig syscall.Signal) {
	s.T.Helper()
	s.killed = s.killed || sig == syscall.SIGKILL
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.T.Errorf("signal %v to the master: %v", sig, err)
	}
}

// AwaitRefusal waits until new connections are refused: the drain has begun.
func (s *Server) AwaitRefusal() {
	s.T.Helper()
	Await(s.T, 3*time.Second, "refusing new connections", func() bool { return Refused(s.Port) })
}

// Wait waits until the master exits, checks that it left no process behind, and
// returns the exit code.
func (s *Server) Wait(within time.Duration) int {
	s.T.Helper()
	select {
	case <-s.Exited:
	case <-time.After(atOnce(within)):
		s.T.Fatalf("the master still runs after %v: %v\n%s", atOnce(within), s.Session(), s.Log.Tail())
	}
	if !s.empty() {
		s.T.Errorf("the master exited and left %v behind", s.Session())
	}
	return s.Status()
}

// MustExit is Wait for a master that has to exit with status 0.
func (s *Server) MustExit(within time.Duration) {
	s.T.Helper()
	if code := s.Wait(within); code != 0 {
		s.T.Errorf("exit status %d, want 0:\n%s", code, s.Log.Tail())
	}
}

// empty reports whether the session has no process left. It polls, because a
// process that exits closes its pipes before it disappears.
func (s *Server) empty() bool {
	return Holds(time.Second, func() bool { return len(s.Session()) == 0 })
}

// Stop interrupts the master and expects it to drain with status 0.
func (s *Server) Stop(within time.Duration) {
	s.T.Helper()
	s.Interrupt()
	s.MustExit(within)
}

// end is the cleanup of every master.
func (s *Server) end() {
	if !s.Gone() && !s.killed {
		s.Interrupt()
		select {
		case <-s.Exited:
			if code := s.Status(); code != 0 {
				s.T.Errorf("exit status %d after SIGINT, want 0", code)
			}
		case <-time.After(atOnce(8 * time.Second)):
			s.T.Errorf("the master still runs 9 s after SIGINT: %v", s.Session())
		}
	}
	s.empty()
	for _, p := range s.Session() {
		s.T.Errorf("process %v was left behind", p)
		// It may have exited by now.
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
	<-s.Exited
	if s.T.Failed() {
		s.T.Logf("%s\nexited with %d; its last lines:\n%s", strings.Join(s.cmd.Args, " "), s.Status(), s.Log.Tail())
	}
}
