package supervise

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// The state that an upgrade passes on has the handover channels.
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
		r.procs[0].busy = true
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.movable(1)
		r.hello(1)
		r.signal(syscall.SIGUSR2)
		if len(states) != 1 || len(states[0].Channels) != 1 {
			t.Fatalf("executed with %+v, want one state with one channel", states)
		}
		c := states[0].Channels[0]
		kind, err := unix.GetsockoptInt(c.End, unix.SOL_SOCKET, unix.SO_TYPE)
		if c.From != 101 || c.To != 102 || c.Version != "1" || err != nil || kind != unix.SOCK_SEQPACKET {
			t.Errorf("the channel is %+v, of socket type %d (%v); want a SOCK_SEQPACKET from 101 to 102", c, kind, err)
		}
		if fds := states[0].Descriptors(); fds[len(fds)-1] != c.End {
			t.Errorf("the descriptors are %v, want %d as the last", fds, c.End)
		}
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}

// If the worker that was to take a connection over dies after an upgrade, a connection that
// is still in the handover channel goes to another worker.
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
			old[h.PID] = &fake{mu: &r.mu, pid: h.PID, busy: true, messages: make(chan ipc.Message, 4), gone: make(chan error, 1), dead: make(chan Exit, 1)}
			return old[h.PID], nil
		}
	}
	runRig(t, 1, r, func(r *rig) {
		if len(old[12].sent) > 0 {
			t.Errorf("the worker that hands over was sent %v, want nothing", old[12].sent)
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

// A search for connections that are being handed over is blind if the connections of a
// worker cannot be read, unless it cannot have any yet.
func TestBlindSearch(t *testing.T) {
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
	p := &pool{handovers: []*handover{{from: dead, to: a}, {from: a, to: b}}}
	if !p.moving(dead).Blind {
		t.Error("not blind although a connection may have moved on from the worker that received it")
	}
	if p := (&pool{handovers: p.handovers[:1]}); p.moving(dead).Blind {
		t.Error("blind although no connection can have moved on")
	}
}

// A connection that moves on during the search is not missed: each worker is searched
// before its channels, and these before the workers that receive from them.
func TestMovingInOrder(t *testing.T) {
	dead, first, second, third := &worker{}, &worker{}, &worker{}, &worker{}
	orphan := &worker{exited: true}
	third.rescuing = &orphaned{of: orphan}
	p := &pool{
		detached:  []*worker{third, second, first, dead}, // not in their order
		orphans:   []*orphaned{third.rescuing},
		handovers: []*handover{{from: second, to: third, end: 3}, {from: first, to: second, end: 2}, {from: dead, to: first, end: 1}},
	}
	if got, want := p.inOrder(dead), []*worker{first, second, orphan, third}; !slices.Equal(got, want) {
		t.Errorf("the order is %p, want %p", got, want)
	}
	m := p.moving(dead)
	defer m.Close()
	if len(m.Out) != 1 || m.Out[0].End != 1 || len(m.Others) != 4 || m.Others[0].Out[0].End != 2 || m.Others[1].Out[0].End != 3 {
		t.Errorf("the search is %+v, want the channels in the order 1, 2, 3", m)
	}
}

// During a search for connections no channel is closed or passed to another worker: the search
// would use a descriptor that belongs to something else, or miss a connection that moves on.
func TestChannelsDuringSearch(t *testing.T) {
	next := &fake{mu: new(sync.Mutex)}
	p := &pool{slots: []*slot{{state: ready, worker: &worker{proc: next, movable: true}}}, transfers: 1}
	for range 2 { // one without connections, and one with a connection
		from, to, err := ipc.Handover()
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(from)
		dead, giver := &worker{slot: &slot{}, exited: true}, &worker{movable: true, exited: true}
		if len(p.handovers) > 0 {
			if err := ipc.SendConnection(from, []byte("state"), from, -1); err != nil {
				t.Fatal(err)
			}
		}
		p.handovers = append(p.handovers, &handover{from: giver, to: dead, end: to})
	}
	if p.tendHandovers(); len(p.handovers) != 2 || len(next.sent) > 0 {
		t.Errorf("during the search: %d channels, want 2; sent %v, want nothing", len(p.handovers), next.sent)
	}
	p.transfers = 0
	if p.tendHandovers(); len(p.handovers) != 1 || !slices.Equal(next.sent, []ipc.Message{ipc.TakeOver{}}) {
		t.Errorf("after the search: %d channels, want 1; sent %v, want TakeOver", len(p.handovers), next.sent)
	}
	p.closeHandovers()
}

// A worker that drains for long gets another channel with each successor. Those before are closed
// once their connections have been taken.
func TestChannelsOfEarlierSuccessors(t *testing.T) {
	giver, taker := &worker{movable: true}, &worker{movable: true}
	p := &pool{}
	var from [2]int
	for i := range from {
		var end int
		var err error
		if from[i], end, err = ipc.Handover(); err != nil {
			t.Fatal(err)
		}
		p.handovers = append(p.handovers, &handover{from: giver, to: taker, end: end})
	}
	defer p.closeHandovers()
	defer unix.Close(from[1])
	tend := func(want int, what string) {
		t.Helper()
		if p.tendHandovers(); len(p.handovers) != want {
			t.Fatalf("%s: %d channels, want %d", what, len(p.handovers), want)
		}
	}
	if err := ipc.SendConnection(from[0], []byte("state"), from[1], -1); err != nil {
		t.Fatal(err)
	}
	tend(2, "the worker still hands over on the first")
	unix.Close(from[0])
	tend(2, "a connection waits")
	ipc.NextConnection(p.handovers[0].end)
	tend(1, "the first has ended")
}

// No worker begins to hand its connections over during a search for connections.
func TestHandoverWaitsForSearch(t *testing.T) {
	runRig(t, 2, keeping(), func(r *rig) {
		r.movable(0, 1)
		r.hello(0, 1)
		r.procs[0].busy = true
		kept, more := r.procs[1].kept.(*fakeKept), make(chan struct{})
		kept.transfer = func() { <-more }
		r.send(ipc.Recycle{Reason: "test"}, 0)
		r.die(1, killed)
		r.movable(2, 3)
		r.hello(3) // takes over the connections of process 1
		r.hello(2)
		r.expectServing(2)
		if n := len(r.procs[0].sent); n != 1 {
			t.Errorf("process 0 was sent %v, want one message before the search has ended", r.procs[0].sent)
		}
		close(more)
		synctest.Wait()
		r.told(0, ipc.Serve{}, ipc.Drain{})
		r.send(ipc.Rescued{}, 3)
		r.die(0, Exit{})
		r.signal(syscall.SIGTERM)
		r.ends(0, "")
	})
}
