package supervise

import (
	"fmt"

	"phalanx/internal/observe/status"
)

// Rows are the rows of the scoreboard, in which workers count what they do. They outlive workers.
type Rows interface {
	Open(slot int) (row int, err error) // returns a row for a process that is about to start
	Close(row int) error                // the process has ended
	// Doing returns what the worker of a row was serving, for the line of its death: how many
	// connections it had, as last counted, and a request, "" if there was none.
	Doing(row int) (connections int, request string)
}

func (p *pool) totalsOf(slot int) *Totals {
	if p.totals[slot] == nil {
		p.totals[slot] = &Totals{}
	}
	return p.totals[slot]
}

// assignRow opens a row for a worker; -1 if there is none. The worker serves without a row too.
func (p *pool) assignRow(w *worker) (row int) {
	past := p.totalsOf(w.slot.index)
	past.Generations++
	w.generation = past.Generations
	if p.Rows == nil {
		return -1
	}
	row, err := p.Rows.Open(w.slot.index)
	if err != nil {
		p.Alert(fmt.Sprintf("worker %d is not counted and writes no access log: %s", w.slot.index, oneLine(err.Error())))
		return -1
	}
	return row
}

// account adds a dead worker to the totals of its slot, and returns what the worker was doing when
// it died.
func (p *pool) account(w *worker, e Exit) (doing string) {
	past := p.totalsOf(w.slot.index)
	past.CPU += e.CPU
	early := w.readySince.IsZero() && !w.signalled // a real worker never exits before it is ready, not even with 0
	unwanted := (!e.clean() || early) && !w.unborn(e) && !p.forced && (!w.killed || w.killReason != notNeeded)
	if unwanted && !w.overran() { // the operator has set that limit
		past.Deaths++
	}
	if w.listing != nil {
		w.listing.answer <- status.ErrNoWorker
		w.listing = nil
	}
	if p.Rows == nil || w.row < 0 {
		return ""
	}
	if unwanted && !w.readySince.IsZero() {
		w.connections, doing = p.Rows.Doing(w.row)
		doing = oneLine(doing)
	}
	if err := p.Rows.Close(w.row); err != nil {
		p.Log.Warn().Int("slot", w.slot.index).Err(err).Msg("counters of a worker lost")
	}
	w.row = -1
	return doing
}
