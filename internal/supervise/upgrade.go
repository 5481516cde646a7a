package supervise

import (
	"errors"
	"fmt"
	"time"
)

// This file is how a pool outlives its master's program: the master executes
// its new binary in place, with the same pid, and the new program goes on with
// the same workers. It is done when nothing else is under way, so that there is
// little to carry over.

// State is a pool between two programs.
type State struct {
	Workers []WorkerState
	Wanted  int // slots
	Slots   int // as the settings have it
	Reloads int // so far
	Past    map[int]*Past
}

// WorkerState is one worker of it.
type WorkerState struct {
	Handle
	Slot    int
	Row     int  // -1: none that this program can read
	Leaving bool // it finishes, and has no slot any more
	Giving  bool
	Heir    bool
	Version string
	Started time.Time
	Ready   time.Time
}

// upgrade is asked for; it waits until the pool is at rest.
func (p *pool) upgrade() {
	switch {
	case p.phase == stopping:
	case p.Exec == nil:
		p.Alert("this master cannot be replaced while it runs")
	default:
		p.upgrading = true
		p.Log.Info().Msg("upgrading when the pool is at rest")
	}
}

// ErrBusy says that something has to be done before an upgrade.
var ErrBusy = errors.New("busy")

// exec executes the new program, if that was asked for and nothing is under
// way. It returns only when that failed. A signal that has come during the
// check is heeded first: this program is the last to know of it.
func (p *pool) exec() {
	if !p.upgrading || !p.atRest() || p.hush == hushing {
		if p.hush == silent {
			p.loud()
		}
		return
	}
	var err error
	if p.Check != nil && p.hush == loud {
		err = p.Check()
	}
	if err == nil && p.Quiet != nil && p.hush == loud {
		p.hush = hushing
		p.Quiet(func() { p.hushed <- struct{}{} })
		return // until then questions are answered
	}
	if p.hush == silent {
		defer p.loud()
	}
	if err == nil && len(p.Signals) > 0 {
		return
	}
	var state State
	if err == nil {
		state, err = p.state()
	}
	if err == nil {
		p.keepPromises() // nobody remembers them afterwards
		p.Log.Info().Int("workers", len(state.Workers)).Msg("executing the new master")
		err = p.Exec(state)
	}
	if errors.Is(err, ErrBusy) {
		return
	}
	p.upgrading = false
	if err != nil {
		p.Alert("upgrade: " + oneLine(err.Error()) + "; the old master goes on")
	}
}

// hush is whether others ask the pool.
type hush int

const (
	loud    hush = iota
	hushing      // they are about to end
	silent
)

func (p *pool) loud() {
	p.hush = loud
	p.Loud()
}

// atRest reports that every slot has its worker and none is being replaced, and
// no socket is open that has no slot.
func (p *pool) atRest() bool {
	if len(p.renewals) > 0 || p.fresh != nil || len(p.slots) != p.wanted || !p.duckUntil.IsZero() {
		return false
	}
	for _, s := range p.slots {
		if s.want && s.state != ready || s.next != nil || s.worker != nil && s.worker.killed {
			return false
		}
	}
	for _, w := range p.leaving {
		if w.release != nil || w.killed {
			return false
		}
	}
	return true
}

func (p *pool) state() (State, error) {
	state := State{Wanted: p.wanted, Slots: p.Slots, Reloads: p.reloads, Past: p.past}
	for _, w := range p.workers() {
		h, err := w.proc.Handle()
		if err != nil {
			// It has just ended, and the news of that is on its way.
			return State{}, fmt.Errorf("%w: %v: %w", ErrBusy, w, err)
		}
		state.Workers = append(state.Workers, WorkerState{
			Handle: h, Slot: w.slot.index, Row: w.row, Leaving: w.leaving(), Giving: w.giving, Heir: w.heir,
			Version: w.version, Started: w.started, Ready: w.readySince,
		})
	}
	return state, nil
}

// resume goes on with the workers of the program before, and replaces them one
// by one, for they are of its version. One that cannot be gone on with is as
// good as dead.
func (p *pool) resume() {
	p.phase, p.wanted, p.Slots, p.reloads = serving, p.Resume.Wanted, p.Resume.Slots, p.Resume.Reloads
	if p.slots = nil; p.Resume.Past != nil {
		p.past = p.Resume.Past
	}
	for i := range p.wanted {
		p.slots = append(p.slots, &slot{index: i, want: true})
	}
	for _, ws := range p.Resume.Workers {
		w := &worker{
			slot: &slot{index: ws.Slot}, pid: ws.PID, started: ws.Started, readySince: ws.Ready,
			heir: ws.Heir, giving: ws.Giving, version: ws.Version, row: ws.Row, generation: p.pastOf(ws.Slot).Generations,
		}
		proc, err := p.Adopt(ws.Handle)
		if err != nil {
			p.Alert("worker lost in the upgrade: " + oneLine(err.Error()))
			continue
		}
		w.proc = proc
		if ws.Leaving || ws.Slot >= len(p.slots) || p.slots[ws.Slot].worker != nil {
			p.leaving = append(p.leaving, w)
			p.limit(w, false)
		} else {
			w.slot = p.slots[ws.Slot]
			w.slot.worker, w.slot.state = w, ready
		}
		p.lives(w)
		p.attend(w)
	}
	p.Log.Info().Int("workers", len(p.Resume.Workers)).Msg("upgraded")
	p.OnServing()
	p.reload()
}
