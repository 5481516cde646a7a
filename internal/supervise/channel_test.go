package supervise

import (
	"syscall"
	"testing"
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
		r.begin(0)
		r.procs[0].stubborn = true
		r.say(ipc.Recycle{Reason: "test"}, 0)
		r.movable(1)
		r.begin(1)
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
		c.Reattach = func(h Handle) (Process, error) {
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
		r.begin(0)
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
}
