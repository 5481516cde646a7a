package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"phalanx/internal/observe/status"
)

// This file upgrades the master: it executes its new binary in place, with the same pid, and the new
// program takes over the workers. An upgrade waits until no reload, scaling or rescue is under way,
// so that little state has to be passed on.

// State is what the previous program passes on about the pool. The names in JSON must not change,
// because the two programs may be of different versions.
type State struct {
	Workers  []WorkerState
	Channels []ChannelState  `json:",omitempty"`
	Wanted   int             // wanted number of slots
	Slots    int             // number of slots in the settings
	Reloads  int             // number of reloads so far
	Totals   map[int]*Totals `json:"Past"`
	Rescue   status.Rescue
}

// WorkerState is one worker of a State.
type WorkerState struct {
	Handle
	Slot        int
	Row         int    // row of the scoreboard; -1: none that this program can read
	Detached    bool   `json:"Leaving"`    // it drains, and has no slot any more
	HandingOver bool   `json:"Giving"`     // it hands its connections over
	LastOwner   bool   `json:",omitempty"` // it accepts from the socket of a slot that was closed and reopened
	QueueEmpty  bool   `json:",omitempty"` // it has reported that it accepts no more connections
	Movable     bool   `json:"Heir"`       // it can take connections over, and hand its own over
	Keeper      int    `json:",omitempty"` // the pid of its keeper; 0: none
	Generation  int    `json:",omitempty"` // number of processes that the slot has had, including this one; 0: of a version that did not pass it on
	Sandbox     string `json:",omitempty"` // as in package status; "": none
	Version     string
	Started     time.Time
	Ready       time.Time
	DrainBy     time.Time `json:",omitzero"` // time limit of its drain; zero: none, or of a version that did not pass it on
}

// ChannelState is a handover channel.
type ChannelState struct {
	From, To int    // pids of the workers; 0: the worker is dead
	End      int    // descriptor of the receiving end
	Version  string // version of the worker that hands over
}

// Descriptors returns the descriptors that the new program inherits.
func (s State) Descriptors() []int {
	var fds []int
	for _, w := range s.Workers {
		fds = append(fds, w.descriptors()...)
	}
	for _, c := range s.Channels {
		fds = append(fds, c.End)
	}
	return fds
}

// requestUpgrade records that an upgrade is wanted; it waits until the pool is stable.
func (p *pool) requestUpgrade() {
	switch {
	case p.phase == stopping:
	case p.Exec == nil:
		p.Alert(fmt.Sprintf("upgrade: %s; restart the server instead", cmp.Or(p.NotUpgradable, "path of the master binary unknown")))
	default:
		if !p.upgrading {
			p.upgrading, p.upgradeLate = true, p.Now().Add(upgradeTime)
		}
		p.Log.Info().Msg("upgrade requested")
	}
}

// ErrBusy means that something else must be done before an upgrade.
var ErrBusy = errors.New("busy")

// tryUpgrade executes the new program if an upgrade was requested and nothing else is under way.
// It returns only if it does not, or if it fails. A signal that arrived during the check is handled
// first, because the new program would not know of it.
func (p *pool) tryUpgrade() {
	stable := p.busyWith() == ""
	if !stable && p.check == checked {
		p.check = unchecked // the settings or the binary may have changed by then
	}
	if !p.upgrading || !stable || p.requests == requestsEnding || p.check == checking {
		if p.requests == requestsSuspended {
			p.resumeRequests()
		}
		return
	}
	if p.Check != nil && p.check == unchecked {
		p.check = checking
		p.work(p.Check, p.checkDone)
		return
	}
	if p.SuspendRequests != nil && p.requests == requestsServed {
		p.requests = requestsEnding
		p.SuspendRequests(func() { p.later(p.requestsEnded) })
		return // until the requests have ended
	}
	if p.requests == requestsSuspended {
		defer p.resumeRequests()
	}
	if len(p.Signals) > 0 {
		return
	}
	state := p.upgradeState()
	p.answerOrders() // the new program does not know them
	p.Log.Info().Int("workers", len(state.Workers)).Msg("executing new master")
	if err := p.Exec(state); !errors.Is(err, ErrBusy) {
		p.upgradeFailed(err)
	}
}

// checkState says whether the new program has accepted the settings.
type checkState int

const (
	unchecked checkState = iota
	checking
	checked
)

// checkDone handles the result of the new program's check.
func (p *pool) checkDone(err error) {
	if p.check = checked; err != nil && p.phase != stopping {
		p.upgradeFailed(err)
	}
}

func (p *pool) upgradeFailed(err error) {
	p.upgrading, p.upgradeLate, p.check = false, time.Time{}, unchecked
	if err != nil {
		p.Alert("upgrade: " + oneLine(err.Error()) + "; keeping the current master")
	}
}

// requestState says whether requests reach the pool's Controller.
type requestState int

const (
	requestsServed    requestState = iota
	requestsEnding                 // SuspendRequests is under way
	requestsSuspended              // no more requests come
)

// requestsEnded continues with the upgrade once no request is under way, unless the pool stops.
func (p *pool) requestsEnded() {
	if p.requests = requestsSuspended; p.phase == stopping {
		p.resumeRequests()
	}
}

func (p *pool) resumeRequests() {
	p.requests = requestsServed
	p.ResumeRequests()
}

// upgradeState returns what the next program of the master needs.
func (p *pool) upgradeState() State {
	state := State{Wanted: p.wanted, Slots: p.Slots, Reloads: p.reloads, Totals: p.totals, Rescue: p.rescues}
	for _, w := range p.workers() {
		state.Workers = append(state.Workers, WorkerState{
			Handle: w.proc.Handle(), Slot: w.slot.index, Row: w.row, Detached: w.detached(), HandingOver: w.handingOver, LastOwner: w.lastOwner, QueueEmpty: w.queueEmpty, Movable: w.movable, Keeper: w.keeper, Sandbox: w.sandbox,
			Generation: w.generation, Version: w.version, Started: w.started, Ready: w.readySince, DrainBy: w.drainBy,
		})
	}
	for _, c := range p.handovers {
		state.Channels = append(state.Channels, c.upgradeState())
	}
	return state
}

// resume takes over the workers of the previous program, and replaces them one by one, because they
// have its version. A worker that cannot be taken over counts as dead.
func (p *pool) resume() {
	p.phase, p.wanted, p.Slots, p.reloads = serving, p.Resume.Wanted, p.Resume.Slots, p.Resume.Reloads
	if p.slots = nil; p.Resume.Totals != nil {
		p.totals = p.Resume.Totals
	}
	p.rescues = p.Resume.Rescue
	for i := range p.wanted {
		p.slots = append(p.slots, &slot{index: i, want: true})
	}
	for _, ws := range p.Resume.Workers {
		w := &worker{
			slot: &slot{index: ws.Slot}, pid: ws.PID, started: ws.Started, readySince: ws.Ready,
			sandbox: ws.Sandbox, movable: ws.Movable, handingOver: ws.HandingOver, lastOwner: ws.LastOwner, queueEmpty: ws.QueueEmpty, version: ws.Version, row: ws.Row, generation: cmp.Or(ws.Generation, p.totalsOf(ws.Slot).Generations),
		}
		proc, err := p.Reattach(ws.Slot, ws.Handle)
		if err != nil {
			p.Alert("worker lost in the upgrade: " + oneLine(err.Error()))
			continue
		}
		w.proc = proc
		if ws.Detached || ws.Slot >= len(p.slots) || p.slots[ws.Slot].worker != nil {
			p.detached = append(p.detached, w)
			p.limitDrain(w, ws.LastOwner)
			if !w.drainBy.IsZero() && !ws.DrainBy.IsZero() { // its time runs on
				w.drainBy = p.Now().Add(ws.DrainBy.Sub(p.Now()))
			}
		} else {
			w.slot = p.slots[ws.Slot]
			w.slot.worker, w.slot.state = w, ready
		}
		switch kept := proc.Kept(); {
		case kept == nil:
		case ws.Keeper == 0: // the reload may fail to replace it
			w.unkeptUntil = p.Now().Add(unkeptTime)
		default:
			_ = kept.Use(ws.Keeper) // if the keeper has exited, attendKeeper notices
			p.attendKeeper(w, ws.Keeper)
		}
		w.served = true
		p.heartbeat(w)
		p.sendCredentials(w)
		p.attend(w)
	}
	for _, c := range p.Resume.Channels {
		p.resumeHandover(c)
	}
	p.Log.Info().Int("workers", len(p.Resume.Workers)).Msg("master upgraded")
	p.OnServing(len(p.slots))
	p.reload()
}
