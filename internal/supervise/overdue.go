package supervise

import (
	"fmt"
	"slices"
	"time"
)

// This file reports reloads and upgrades that have to wait for long, and killed workers that do not
// exit: an operator would otherwise not learn why nothing happens.

const (
	loadTime    = 10 * time.Second // for reading the settings of a reload
	upgradeTime = 30 * time.Second // until an upgrade begins: closing a slot takes 11 s
)

// checkDisks is what to do if settings are not read: options and certificates are on disks.
const checkDisks = "check the disks of the config file, the document roots and the certificates"

// tellLoading reports, once, that a reload has waited for too long.
func (p *pool) tellLoading() {
	p.loadLate = time.Time{}
	p.reloadError = fmt.Sprintf("reload: the settings have not been read within %v; "+checkDisks+"; the reload continues when they respond", loadTime)
	p.Alert(p.reloadError)
}

// tellUpgrading reports, once, that an upgrade has waited for too long.
func (p *pool) tellUpgrading() {
	p.upgradeLate = time.Time{}
	reason := p.busyWith()
	switch {
	case p.check == checking:
		reason = "the new program is being checked; " + checkDisks
	case reason == "":
		p.upgradeLate = p.Now().Add(upgradeTime) // it is about to begin
		return
	}
	p.Alert("upgrade: still waiting, because " + reason)
}

// tellStuck reports, once, that a worker that was killed does not exit: the kernel ends a process
// only when what it waits for responds.
func (p *pool) tellStuck(w *worker) {
	w.deadline = time.Time{}
	p.Alert(fmt.Sprintf("%v: %s; it was killed %v ago and has not exited; check the disk that it waits for", w, oneLine(w.killReason), killedTime))
}

// busyWith says what an upgrade has to wait for; "": every slot has its worker, none is being
// replaced, and no socket without a slot is open.
func (p *pool) busyWith() string {
	switch {
	case p.loading:
		return "a reload is reading its settings"
	case len(p.toReplace) > 0 || p.candidate != nil:
		return "workers are being replaced"
	case len(p.orphans) > 0 || p.transfers > 0:
		return "connections are being rescued"
	case len(p.slots) != p.wanted || len(p.closing) > 0:
		return "slots are being added or removed"
	case !p.lameDuckUntil.IsZero():
		return "the server is about to drain"
	}
	for _, s := range p.slots {
		switch {
		case s.want && s.state != ready:
			return fmt.Sprintf("slot %d has no worker that serves", s.index)
		case s.next != nil:
			return "workers are being replaced"
		}
	}
	if slices.ContainsFunc(p.workers(), func(w *worker) bool { return w.killed }) {
		return "a killed worker has not exited"
	}
	for _, w := range p.keepers {
		if w.exited { // the new program could not wait for it
			return "the keeper of a dead worker has not exited"
		}
	}
	return ""
}
