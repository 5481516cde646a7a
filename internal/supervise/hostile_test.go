package supervise

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/systest"
)

// A worker that has served can neither quarantine its slot nor end the pool by its exit
// code.
func TestConfigurationExitAfterServing(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		r.send(ipc.Failed{ExitCode: exitcode.Config, Reason: "I say so"}, 0)
		r.die(0, Exit{Code: exitcode.Config})
		r.expect(2, "serving", "worker 0 (pid 101) died: I say so; respawning")
		r.hello(1)
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// If a replacement drains before it is ready, the worker that it was to replace keeps the
// slot, and drains like any other.
func TestReplacementDrainsTooEarly(t *testing.T) {
	runRig(t, 1, &rig{tweak: busy}, func(r *rig) {
		r.hello(0)
		r.signal(syscall.SIGHUP)
		r.send(ipc.Draining{}, 1)
		r.signal(syscall.SIGTERM)
		r.signalled(0, syscall.SIGINT)
		r.signalled(1, syscall.SIGINT)
		r.die(1, Exit{})
		r.die(0, Exit{})
		r.ends(0, "")
	})
}

// A refusal of credentials that were never sent is not reported.
func TestRefusalOfUnsentCredentials(t *testing.T) {
	run(t, 1, func(r *rig) {
		r.hello(0)
		for range 5 {
			r.send(ipc.CredentialsRefused{Reason: "no"}, 0)
		}
		r.expect(1, "serving")
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// The sum of what the workers report does not overflow.
func TestSumDoesNotOverflow(t *testing.T) {
	if sum := Sum([]Progress{{Bytes: math.MaxInt64}, {Bytes: math.MaxInt64}}); sum.Bytes != math.MaxInt64 {
		t.Errorf("the sum is %d, want the largest int64", sum.Bytes)
	}
}

// controlChannel returns the master's and the worker's end of a control channel.
func controlChannel(t *testing.T) (master, worker *ipc.Channel) {
	t.Helper()
	master, end, err := ipc.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	own, err := unix.Dup(int(end.Fd())) // the channel closes its descriptor
	if err != nil {
		t.Fatal(err)
	}
	if worker, err = ipc.Open(uintptr(own)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close() })
	return master, worker
}

// Receive fails if a worker has sent more messages than the limit for one second.
func TestFloodOfMessages(t *testing.T) {
	channel, worker := controlChannel(t)
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	p := &process{channel: channel, output: output}
	defer p.channel.Close()
	p.messages = window{time.Now().Add(time.Hour), mostMessages - 1} // this second does not end
	for range 2 {
		if err := worker.Send(ipc.Alive{}); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := p.Receive(); err != nil {
		t.Fatalf("the first message: %v, %v, want no error", m, err)
	}
	if m, err := p.Receive(); err != errFlood {
		t.Fatalf("the second message: %v, %v, want %v", m, err, errFlood)
	}
}

// The master passes on no network connection of a worker, because closing one could block it.
func TestForeignConnections(t *testing.T) {
	channel, worker := controlChannel(t)
	defer channel.Close()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer self.Release()
	var passed []string
	p := &process{proc: self, channel: channel,
		render: func(f *os.File) { passed = append(passed, "render"); f.Close() },
		help:   func(_ int, _ ipc.Job, f *os.File) { passed = append(passed, "help"); f.Close() }}
	for _, family := range []int{unix.AF_INET, unix.AF_UNIX} {
		fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for _, m := range []ipc.Message{ipc.Job{Kind: ipc.JobGzip}, ipc.Render{}} {
			if err := worker.SendFile(m, fd); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(worker.SendFile(ipc.Job{Kind: ipc.JobGzip}, int(os.Stdin.Fd())), worker.Send(ipc.Alive{})); err != nil {
		t.Fatal(err)
	}
	if m, err := p.Receive(); m != (ipc.Alive{}) || err != nil {
		t.Errorf("received %v, %v, want Alive", m, err)
	}
	if !slices.Equal(passed, []string{"render", "help"}) {
		t.Errorf("passed on %v, want one render and one help", passed)
	}
}

// A message for whose descriptor the master has none free is dropped, and is no fault of its worker.
func TestNoFreeDescriptors(t *testing.T) {
	channel, worker := controlChannel(t)
	defer channel.Close()
	p := &process{channel: channel}
	for range 2 {
		if err := worker.SendFile(ipc.Render{}, int(os.Stdin.Fd())); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.Send(ipc.Alive{}); err != nil {
		t.Fatal(err)
	}
	restore := systest.FullTable(t, 0)
	m, err := p.Receive()
	restore()
	if m != (ipc.Alive{}) || err != nil {
		t.Errorf("received %v, %v, want Alive", m, err)
	}
}

// A window accepts a limited number within a second.
func TestWindow(t *testing.T) {
	var w window
	now := time.Now()
	for i, c := range []struct {
		n     int
		after time.Duration
		want  bool
	}{{2, 0, true}, {1, 0, true}, {1, time.Second - 1, false}, {3, time.Second, true}, {1, time.Second, false}} {
		if got := w.take(c.n, 3, now.Add(c.after)); got != c.want {
			t.Errorf("take %d: %v, want %v", i, got, c.want)
		}
	}
}

// FuzzWorker lets two workers send any messages, in any order, and die: the pool neither
// panics nor hangs, what it reports is bounded, and it stops when told to.
func FuzzWorker(f *testing.F) {
	for _, m := range []ipc.Message{
		ipc.Ready{PID: 101, Version: "1"}, ipc.Failed{ExitCode: 78, Reason: "a\nb"}, ipc.Draining{}, ipc.CanHandOver{}, ipc.Alive{}, ipc.Recycle{Reason: "r"},
		ipc.Remaining{Connections: 1, Bytes: math.MaxInt64}, ipc.Shown{ID: 1}, ipc.Rescued{Connections: 7}, ipc.CredentialsUsed{ID: math.MaxUint32},
		ipc.CredentialsRefused{Reason: "r"}, ipc.Confined{Sandboxed: true, Missing: "m"}, ipc.QueuesEmpty{}, ipc.Serve{},
	} {
		p := ipc.Encode(m)
		one := append([]byte{0, byte(len(p))}, p...)
		f.Add(append(append([]byte{}, one...), append([]byte{1, byte(len(p))}, p...)...))
		f.Add(append(append([]byte{}, one...), 2, 0, 3, 0, 4, 0))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<10 {
			return
		}
		runRig(t, 2, &rig{change: func(c *Config) { c.DrainTimeout, c.HangTimeout = time.Minute, time.Minute }}, func(r *rig) {
			r.hello(0, 1)
			steps := r.perform(script)
			for range 3 { // the third stops it immediately
				select {
				case err := <-r.done:
					r.done <- err
				default:
					r.signal(syscall.SIGTERM)
					r.pass(time.Second)
				}
			}
			r.pass(2 * time.Minute)
			select {
			case <-r.done:
			default:
				t.Fatalf("the pool still runs: %q\n%s\n%v %v %v", r.reported, &r.log, r.procs[0].signals, r.procs[1].signals, r.procs[len(r.procs)-1].signals)
			}
			for _, line := range r.reported {
				if len(line) > 2000 || strings.ContainsAny(line, "\n\x1b") {
					t.Errorf("the pool reported %q, want a short line", line)
				}
			}
			if n := len(r.reported); n > 3*steps+20 {
				t.Errorf("%d lines reported after %d steps, want at most %d", n, steps, 3*steps+20)
			}
		})
	})
}

// perform has the newest workers of two slots send what a script says. A step of it is a
// byte for the worker, one for the size, and so many bytes of a message; a first byte from
// 2 on stands for a death or a pause. It returns the number of steps.
func (r *rig) perform(script []byte) (did int) {
	for len(script) >= 2 {
		who, size := int(script[0]%5), min(int(script[1]), len(script)-2)
		payload := script[2 : 2+size]
		script = script[2+size:]
		did++
		i := len(r.procs) - 1 - who%2
		switch m, err := ipc.Decode(payload); {
		case who == 4:
			r.pass(10 * time.Second)
		case who > 1:
			r.die(i, Exit{Code: size, Signal: syscall.Signal(who % 2 * 9)})
		case err != nil: // as if its channel had returned it
			select {
			case r.procs[i].gone <- err:
			default:
			}
			synctest.Wait()
		default:
			select {
			case r.procs[i].messages <- m:
			default: // the worker is dead
			}
			synctest.Wait()
		}
	}
	return did
}
