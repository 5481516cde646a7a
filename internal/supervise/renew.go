package supervise

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// This file is how a worker is replaced while it serves: the new one first, in
// the same slot and on the same socket, and when it is ready the old one hands
// its connections over and goes. One at a time: a worker that does not come up
// ends the attempt, and the old ones go on.

// reload replaces every worker, with the settings as they are now.
func (p *pool) reload() {
	switch p.phase {
	case stopping:
		return
	case launching:
		p.Alert("reload: the pool is not serving yet; send SIGHUP again when it is")
		return
	}
	fresh := p.settings()
	before := p.inReload
	p.reloading(true)
	if p.Reload != nil {
		var err error
		if fresh, err = p.Reload(); err != nil {
			p.reloading(before)
			p.failed = fmt.Sprintf("reload: %s; the workers go on as they are", oneLine(err.Error()))
			p.Alert(p.failed)
			return
		}
	}
	p.failed = ""
	p.fresh = &fresh
	p.reloads++
	p.renewals = slices.Clone(p.slots)
	p.Log.Info().Int("workers", len(p.slots)).Msg("reloading")
}

// reloading notes that a reload has begun, or ended.
func (p *pool) reloading(begun bool) {
	if begun != p.inReload {
		p.inReload = begun
		p.OnReload(begun)
	}
}

// tired is told that a worker wants to be replaced.
func (p *pool) tired(w *worker, m ipc.Recycle) {
	if p.phase != serving || w.slot.worker != w || w.slot.next != nil || slices.Contains(p.renewals, w.slot) {
		return
	}
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Str("reason", oneLine(m.Reason)).Msg("worker recycled")
	p.renewals = append(p.renewals, w.slot)
}

// renew starts the next replacement, if none is under way. A slot whose worker
// is not ready keeps its place in the queue: what comes up there may have been
// started before the settings changed.
func (p *pool) renew() {
	for _, s := range p.slots {
		if s.next != nil || s.state == starting {
			return
		}
	}
	p.renewals = slices.DeleteFunc(p.renewals, func(s *slot) bool { return !s.want || !slices.Contains(p.slots, s) })
	if len(p.renewals) == 0 {
		p.reloading(false)
	}
	for i, s := range p.renewals {
		if s.state == ready && !s.worker.killed {
			p.renewals = slices.Delete(p.renewals, i, i+1)
			p.succeed(s)
			return
		}
	}
}

// succeed starts the process that is to take the place of a slot's worker.
func (p *pool) succeed(s *slot) {
	s.next = &worker{slot: s, started: p.Now(), reload: p.reloads}
	settings := p.settings()
	if p.fresh != nil {
		settings = *p.fresh
	}
	p.launch(s.next, settings)
}

// replace lets the new worker of a slot, which has just said that it is ready,
// take the place of the old one.
func (p *pool) replace(s *slot) {
	old := s.worker
	s.worker, s.next, s.deaths = s.next, nil, 0
	p.move(s, succeed)
	p.leaving = append(p.leaving, old)
	p.grant(s.worker)
	p.retire(old, s.worker, false)
	if len(p.renewals) == 0 {
		p.Log.Info().Msg("workers replaced")
	}
}

// proved makes new settings, with which a worker has come up, those of all.
// Slots that had been given up get another chance with them.
func (p *pool) proved(w *worker) {
	if p.fresh == nil || w.reload != p.reloads {
		return
	}
	p.Spawn, p.Worker = p.fresh.Spawn, p.fresh.Worker
	if p.fresh.Proved != nil {
		p.fresh.Proved()
	}
	if p.fresh.Slots != p.Slots {
		// It was the number in the settings that changed: TTIN and TTOU are undone
		// by nothing else.
		p.Slots = p.fresh.Slots
		p.resize(p.Slots)
	}
	p.fresh = nil
	for _, s := range p.slots {
		if !s.want && s.state == exited {
			p.move(s, wait)
			s.want, s.retryAt, s.deaths, s.recent = true, p.Now(), 0, nil
		}
	}
}

// promote lets a process that was to take a worker's place have it at once,
// for that one has gone.
func (p *pool) promote(s *slot) {
	p.move(s, spawn)
	s.worker, s.next = s.next, nil
}

// stillborn settles the exit of a process that was to take a worker's place.
func (p *pool) stillborn(w *worker, e Exit) {
	s := w.slot
	s.next = nil
	if p.phase == stopping {
		p.diedInDrain(w, starting, e)
		return
	}
	text := fmt.Sprintf("%s; %v is not replaced", oneLine(p.startError(w, e).Text), s.worker)
	if w.reload == p.reloads { // nobody has asked again since
		p.renewals, p.fresh, p.failed = nil, nil, text
	}
	p.Alert(text)
}

// unneeded is why a process is killed whose slot is no longer wanted.
const unneeded = "not needed any longer"

// retire tells a worker that another serves in its place, and makes the channel
// on which it gives its connections to the heir, if both can. queue says that
// the listening socket has no other owner.
func (p *pool) retire(old, heir *worker, queue bool) {
	p.limit(old, queue)
	if old.queue = queue; !old.canGive(heir) {
		p.tell(old, ipc.Drain{Queue: queue})
		return
	}
	old.giving = true
	p.bequeath(old, heir) // if the heir has just died, provide finds another
}

// bequeath gives each of the two its end of a new channel, and with it the old
// one its leave.
func (p *pool) bequeath(old, heir *worker) {
	giver, taker, err := ipc.Handover()
	if err == nil {
		defer unix.Close(giver)
		defer unix.Close(taker)
		err = heir.proc.SendFile(ipc.TakeOver{}, taker)
	}
	if err == nil {
		err = old.proc.SendFile(ipc.Drain{Queue: old.queue}, giver)
	}
	if err != nil {
		p.Log.Info().Int("slot", old.slot.index).Int("pid", old.pid).Err(err).Msg("connections not handed over")
		return
	}
	old.taker = heir
}

// provide finds another heir for workers whose heir has died.
func (p *pool) provide() {
	for _, w := range p.leaving {
		if !w.giving || w.taker != nil || w.killed {
			continue
		}
		switch heir := p.heir(w.slot.index); {
		case heir == nil:
		case w.canGive(heir):
			p.bequeath(w, heir)
		default:
			p.interrupt(w) // nobody will ever take them: it drains
		}
	}
}

// limit bounds how long a worker may take to finish, from now on. One that has
// to wait for what is on its way to its socket needs that time in any case.
func (p *pool) limit(w *worker, queue bool) {
	patience := p.DrainTimeout
	if queue {
		patience = max(patience, queueTime)
	}
	if p.DrainTimeout > 0 && w.drainBy.IsZero() && !w.killed {
		w.drainBy = p.Now().Add(patience)
	}
}

// grant lets a worker take requests. From then on it has to show that it lives.
func (p *pool) grant(w *worker) {
	p.tell(w, ipc.Serve{})
	p.lives(w)
}

// lives notes a sign of life.
func (p *pool) lives(w *worker) {
	if p.HangTimeout > 0 && !w.readySince.IsZero() && !w.killed {
		w.deadline = p.Now().Add(p.HangTimeout)
		w.overdue = fmt.Sprintf("no sign of life for %v", p.HangTimeout)
	}
}
