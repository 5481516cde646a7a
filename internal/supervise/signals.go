package supervise

import (
	"os"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
)

// This file handles the master's signals: INT, TERM and QUIT drain, and a second one stops
// immediately; HUP replaces every worker; TTIN and TTOU add and remove a slot; USR1 reopens log
// files; USR2 replaces the master's own program.

// sameSignal is the time after a stop within which another one counts as the same.
const sameSignal = 30 * time.Millisecond

// Stops reports whether a signal tells the master to stop.
func Stops(sig os.Signal) bool {
	return sig == syscall.SIGINT || sig == syscall.SIGTERM || sig == syscall.SIGQUIT
}

// signal handles one of the master's signals.
func (p *pool) signal(sig os.Signal) {
	if Stops(sig) {
		// Some programs send a signal to a process and then to its group: that is one
		// request. Nobody presses Ctrl-C twice so fast.
		if p.stops > 0 && p.Now().Sub(p.stoppedAt) < sameSignal {
			return
		}
		p.stops++
		p.stoppedAt = p.Now()
	}
	p.Log.Info().Str("signal", signalName(sig)).Msg("signal received")
	switch {
	case sig == syscall.SIGTTIN:
		p.resize(p.wanted + 1)
	case sig == syscall.SIGTTOU:
		p.resize(p.wanted - 1)
	case sig == syscall.SIGUSR1:
		p.OnReopen()
	case sig == syscall.SIGUSR2:
		p.requestUpgrade()
	case sig == syscall.SIGHUP && (p.HungUp == nil || !p.HungUp()):
		p.reload()
	case sig == syscall.SIGHUP:
		if p.phase != stopping { // the terminal is gone, which never forces a stop
			p.drain()
		}
	case p.phase != stopping && p.lameDuckUntil.IsZero():
		p.stop()
	case p.phase != stopping:
		p.drain()
	case p.stops > 1 && !p.forced:
		p.force()
	}
}

// stop begins the drain: at once, or after the lame duck period.
func (p *pool) stop() {
	if p.phase != serving || p.LameDuck == 0 {
		p.drain()
		return
	}
	p.lameDuckUntil = p.Now().Add(p.LameDuck)
	p.Log.Info().Str("for", p.LameDuck.String()).Msg("lame duck started")
	p.OnLameDuck()
}

// soon is the time within which a slot must get its next worker for a drain to wait for it.
const soon = time.Second

// drain makes every slot unwanted; reconcile relays SIGINT. A slot without a worker that will get
// its next one soon gets it first: connections may wait in its accept queue.
func (p *pool) drain() {
	served := p.phase == serving
	p.phase, p.lameDuckUntil, p.loadLate, p.upgradeLate = stopping, time.Time{}, time.Time{}, time.Time{}
	if p.DrainTimeout > 0 {
		p.stopBy = p.Now().Add(p.DrainTimeout)
	}
	p.noteReload(false)
	p.progressAt = p.Now().Add(progressEvery)
	p.toReplace, p.candidate = nil, nil
	for _, s := range p.all() {
		s.want = s.want && served && (s.state == empty || s.state == starting || s.state == backoff && s.retryAt.Sub(p.Now()) < soon)
	}
	for _, w := range p.detached {
		p.limitDrain(w, false)
	}
	for _, o := range p.orphans {
		p.tell(o)
	}
	p.Log.Info().Msg("drain started")
	p.OnDrain()
}

func (p *pool) alive() {
	p.aliveAt = p.Now().Add(p.AliveEvery)
	p.OnAlive()
}

func (p *pool) force() {
	p.forced = true
	for _, s := range p.all() {
		s.want = false
	}
	if p.err == nil || p.cutShort > 0 {
		p.err = exitcode.New(exitcode.Forced, "stopped immediately: requests under way were aborted", nil)
		p.cutShort = 0
	}
	p.killAll("second signal")
}
