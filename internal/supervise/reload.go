package supervise

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// This file replaces workers while they serve. The new worker is started first, in the same slot
// and on the same socket; when it is ready, the old one hands its connections over and exits.
// Workers are replaced one at a time. If a new one does not become ready, the reload is given up,
// and the old ones continue.

// reload replaces every worker, with the current settings. The settings are read outside the
// loop, because a disk may not respond.
func (p *pool) reload() {
	switch {
	case p.phase == stopping:
		return
	case p.phase == launching:
		p.Alert("reload: the pool is not serving yet; send SIGHUP again when it is")
		return
	case p.loading: // the settings that are being read may be older than this request
		p.reloadAgain = true
		return
	}
	p.reloadError = ""
	p.noteReload(true)
	if p.Reload == nil {
		p.startReload(p.Settings)
		return
	}
	p.loading, p.loadLate = true, p.Now().Add(loadTime)
	var fresh Settings
	p.work(func(context.Context) (err error) {
		fresh, err = p.Reload()
		return err
	}, func(err error) { p.loaded(fresh, err) })
}

// loaded continues a reload whose settings have been read.
func (p *pool) loaded(fresh Settings, err error) {
	again := p.reloadAgain
	p.loading, p.reloadAgain, p.loadLate, p.reloadError = false, false, time.Time{}, ""
	switch {
	case p.phase == stopping:
	case again:
		p.reload()
	case err != nil:
		p.reloadError = fmt.Sprintf("reload: %s; keeping the current workers", oneLine(err.Error()))
		p.Alert(p.reloadError)
	default:
		p.startReload(fresh)
	}
}

func (p *pool) startReload(fresh Settings) {
	p.candidate = &fresh
	p.reloads++
	p.toReplace = slices.Clone(p.slots)
	p.Log.Info().Int("workers", len(p.slots)).Msg("reload started")
}

// noteReload notes that a reload has begun, or ended.
func (p *pool) noteReload(begun bool) {
	if begun != p.reloading {
		p.reloading = begun
		p.OnReload(begun, p.reloadError)
	}
}

// recycle queues the replacement of a worker that has asked for it.
func (p *pool) recycle(w *worker, reason string) {
	if p.phase != serving || w.slot.worker != w || w.draining() || w.slot.next != nil || !p.queueReplacement(w.slot) {
		return
	}
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Str("reason", oneLine(reason)).Msg("worker recycled")
}

// queueReplacement queues the replacement of a slot's worker; false if it is queued already.
func (p *pool) queueReplacement(s *slot) bool {
	if slices.Contains(p.toReplace, s) {
		return false
	}
	p.toReplace = append(p.toReplace, s)
	return true
}

// replaceNext starts the next replacement, if none is under way. A slot whose worker is not ready
// keeps its place in the queue: that worker may have been started before the settings changed.
func (p *pool) replaceNext() {
	for _, s := range p.slots {
		if s.next != nil || s.state == starting {
			return
		}
	}
	p.toReplace = slices.DeleteFunc(p.toReplace, func(s *slot) bool { return !s.want || !slices.Contains(p.slots, s) })
	if len(p.toReplace) == 0 && !p.loading {
		p.noteReload(false)
	}
	for i, s := range p.toReplace {
		if s.state == ready && !s.worker.killed && !p.Now().Before(s.replaceAt) {
			p.toReplace = slices.Delete(p.toReplace, i, i+1)
			p.startReplacement(s)
			return
		}
	}
}

// startReplacement starts the process that will replace a slot's worker.
func (p *pool) startReplacement(s *slot) {
	s.next = &worker{slot: s, started: p.Now(), reload: p.reloads}
	settings := p.Settings
	if p.candidate != nil {
		settings = *p.candidate
	}
	p.launch(s.next, settings)
}

// replace replaces the old worker of a slot by the new one, which has just become ready.
func (p *pool) replace(s *slot) {
	old := s.worker
	s.worker, s.next, s.deaths, s.kills = s.next, nil, 0, 0
	p.move(s, replace)
	p.detached = append(p.detached, old)
	p.startServing(s.worker)
	p.handOver(old, s.worker, false)
	if len(p.toReplace) == 0 {
		p.Log.Info().Msg("workers replaced")
	}
}

// triesCandidate reports whether the next worker of a slot gets the settings of a reload before they
// are in force: its last worker did not become ready, and no worker is there to be replaced.
func (p *pool) triesCandidate(s *slot) bool {
	return p.candidate != nil && s.unready && !slices.ContainsFunc(p.slots, func(o *slot) bool {
		return o.state == ready && !o.worker.killed || o.state == starting && o.worker.reload == p.reloads
	})
}

// applySettings puts new settings in force once a worker has become ready with them. Quarantined
// slots get another chance.
func (p *pool) applySettings(w *worker) {
	if p.candidate == nil || w.reload != p.reloads {
		return
	}
	before := p.Slots
	p.Settings, p.candidate = *p.candidate, nil
	if p.Applied != nil {
		p.Applied()
	}
	if p.Slots != before { // only a change of the settings undoes TTIN and TTOU
		p.resize(p.Slots)
	}
	for _, s := range p.slots {
		if !s.want && s.state == exited {
			p.revive(s)
		}
	}
}

// revive gives a slot that is quarantined a worker at once.
func (p *pool) revive(s *slot) {
	p.move(s, retry)
	s.want, s.retryAt, s.deaths, s.recent = true, p.Now(), 0, nil
}

// promote gives the slot to a replacement at once, because the old worker has exited.
func (p *pool) promote(s *slot) {
	p.move(s, spawn)
	s.worker, s.next, s.kills = s.next, nil, 0
}

// replacementDied handles the death of a replacement that was not ready yet.
func (p *pool) replacementDied(w *worker, e Exit) {
	s := w.slot
	s.next = nil
	if o := p.orphansFor(s); o != nil && w.readySince.IsZero() && !(p.phase == serving && exhausted(e.Err)) {
		o.failed(w, e) // the next worker would be started for them
	}
	if p.phase == stopping {
		if s.state != starting && s.state != backoff { // no other process will follow
			s.want = false
		}
		p.diedInDrain(w, starting, e)
		return
	}
	if fromOutside(w, e) && s.kills < replaceKills {
		p.replaceAgain(w, e)
		return
	}
	s.kills = 0
	text := fmt.Sprintf("%s; %v is not replaced", oneLine(p.startError(w, e).Text), s.worker)
	if w.reload == p.reloads { // no other reload was requested since
		p.toReplace, p.candidate = nil, nil
		p.reloadFails(text)
	}
	p.Alert(text)
	p.placeOrphans() // no event may follow if it could not even be started
}

// reloadFails notes why a reload has failed, but not if a single worker was to be replaced, or if the
// settings of the next reload are being read.
func (p *pool) reloadFails(why string) {
	if p.reloading && !p.loading {
		p.reloadError = why
	}
}

// replaceAgain queues the replacement of a slot's worker once more, because the last replacement
// was killed from outside.
func (p *pool) replaceAgain(w *worker, e Exit) {
	s := w.slot
	s.kills++
	delay := backoffAfter(s.kills)
	s.replaceAt = p.Now().Add(delay)
	if !slices.Contains(p.toReplace, s) {
		p.toReplace = slices.Insert(p.toReplace, 0, s)
	}
	when := "starting another"
	if delay > 0 {
		when = fmt.Sprintf("starting another in %v", delay)
	}
	p.tellDeath(w, e, fmt.Sprintf("%s; %s", oneLine(p.startError(w, e).Text), when))
}

// notNeeded is the reason for killing a process whose slot is no longer wanted.
const notNeeded = "no longer needed"
