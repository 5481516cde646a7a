package supervise

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// The new program knows the handover channels of the old one.
func TestUpgradeCarriesChannels(t *testing.T) {
	var states []State
	r := keeping()
	r.change = func(c *Config) {
		c.Exec = func(s State) error {
			states = append(states, s)
			return syscall.ENOEXEC
		}
	}
	runRig(t, 1, r, func(r *rig) {
		r.movable(0)
		r.hello(0)
		r.procs[0].stubborn = true
		r.say(ipc.Recycle{Reason: "test"}, 0)
		r.movable(1)
		r.hello(1)
		r.signal(syscall.SIGUSR2)
		if len(states) != 1 || len(states[0].Channels) != 1 {
			t.Fatalf("%+v", states)
		}
		c := states[0].Channels[0]
		kind, err := unix.GetsockoptInt(c.End, unix.SOL_SOCKET, unix.SO_TYPE)
		if c.From != 101 || c.To != 102 || c.Version != "1" || err != nil || kind != unix.SOCK_SEQPACKET {
			t.Errorf("%+v", c)
		}
		if fds := states[0].Descriptors(); fds[len(fds)-1] != c.End {
			t.Errorf("descriptors %v", fds)
		}
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A connection that was between two workers when the program was replaced is given to
// another worker when the one that was to take it over dies.
func TestResumeChannels(t *testing.T) {
	from, to, err := ipc.Handover()
	if err != nil {
		t.Fatal(err)
	}
	if err := ipc.SendConnection(from, []byte("state"), from, -1); err != nil {
		t.Fatal(err)
	}
	unix.Close(from)
	old := map[int]*fake{}
	r := keeping()
	r.change = func(c *Config) {
		ready := time.Now()
		c.Resume = &State{Wanted: 1, Slots: 1, Workers: []WorkerState{
			{Handle: Handle{PID: 11}, Movable: true, Version: "1", Started: ready, Ready: ready},
			{Handle: Handle{PID: 12}, Detached: true, HandingOver: true, Movable: true, Version: "1", Started: ready, Ready: ready},
		}, Channels: []ChannelState{{From: 12, To: 11, End: to, Version: "1"}}}
		c.Reattach = func(_ int, h Handle) (Process, error) {
			old[h.PID] = &fake{mu: &r.mu, pid: h.PID, stubborn: true, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
			return old[h.PID], nil
		}
	}
	runRig(t, 1, r, func(r *rig) {
		if len(old[12].sent) > 0 {
			t.Errorf("the one that hands over was sent %v", old[12].sent)
		}
		old[12].die(killed)
		old[11].die(killed)
		r.movable(0)
		r.hello(0)
		r.told(0, ipc.Serve{}, ipc.TakeOver{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// A worker whose connections cannot be looked at makes the search for one that was being
// handed over blind, unless it cannot have any yet.
func TestBlind(t *testing.T) {
	dead := &worker{}
	for what, want := range map[string]bool{"starting": false, "ready": true} {
		other := &worker{proc: &fake{kept: &fakeKept{}}} // without a keeper
		if what == "ready" {
			other.readySince = time.Now()
		}
		p := &pool{detached: []*worker{dead, other}}
		if m := p.moving(dead); m.Blind != want {
			t.Errorf("%s: blind %v, want %v", what, m.Blind, want)
		}
	}
	a, b := &worker{slot: &slot{}, exited: true}, &worker{slot: &slot{}, exited: true}
	p := &pool{channels: []*channel{{from: dead, to: a}, {from: a, to: b}}}
	if !p.moving(dead).Blind {
		t.Error("sees a connection that moves on from the worker that has received it")
	}
	if p := (&pool{channels: p.channels[:1]}); p.moving(dead).Blind {
		t.Error("blind without a reason")
	}
}

// A connection that moves on while it is looked for does not slip past: each worker is
// looked at before its channels, and these before those who receive on them.
func TestMovingInOrder(t *testing.T) {
	dead, first, second, third := &worker{}, &worker{}, &worker{}, &worker{}
	orphan := &worker{exited: true}
	third.rescuing = &orphaned{of: orphan}
	p := &pool{
		detached: []*worker{third, second, first, dead}, // not in their order
		orphans:  []*orphaned{third.rescuing},
		channels: []*channel{{from: second, to: third, end: 3}, {from: first, to: second, end: 2}, {from: dead, to: first, end: 1}},
	}
	if got, want := p.inOrder(dead), []*worker{first, second, orphan, third}; !slices.Equal(got, want) {
		t.Errorf("%p, want %p", got, want)
	}
	m := p.moving(dead)
	defer m.Close()
	if len(m.Out) != 1 || m.Out[0].End != 1 || len(m.Others) != 4 || m.Others[0].Out[0].End != 2 || m.Others[1].Out[0].End != 3 {
		t.Errorf("%+v", m)
	}
	p.transfers = 1
	if p.tendChannels(); len(p.channels) != 3 {
		t.Error("a channel that is looked at is touched")
	}
}

// No worker begins to hand its connections over while one of them may be looked for.
func TestHandoverWaitsForSearch(t *testing.T) {
	r := keeping()
	runRig(t, 2, r, func(r *rig) {
		r.movable(0, 1)
		r.hello(0, 1)
		r.procs[0].stubborn = true
		kept, more := r.procs[1].kept.(*fakeKept), make(chan struct{})
		kept.transfer = func() { <-more }
		r.say(ipc.Recycle{Reason: "test"}, 0)
		r.die(1, killed)
		r.movable(2, 3)
		r.hello(3) // takes over what process 1 has left
		r.hello(2)
		r.expectServing(2)
		if n := len(r.procs[0].sent); n != 1 {
			t.Errorf("it was sent %v", r.procs[0].sent)
		}
		close(more)
		synctest.Wait()
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.say(ipc.Rescued{}, 3)
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
