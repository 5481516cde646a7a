package supervise

import (
	"os"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
)

// This file is what the master is told from outside: INT and TERM drain, and a
// second one kills; HUP replaces every worker; TTIN and TTOU add a slot and
// take one away; USR1 opens log files anew; USR2 replaces the master's own program.

// sameSignal is how soon after a stop another one is still the same.
const sameSignal = 30 * time.Millisecond

// signal takes one of the master's own signals.
func (p *pool) signal(sig os.Signal) {
	if sig == syscall.SIGINT || sig == syscall.SIGTERM {
		// Some who send a signal send it to a process and then to its group:
		// that is one request, and nobody presses Ctrl-C twice so fast.
		if p.stops > 0 && p.Now().Sub(p.stopped) < sameSignal {
			return
		}
		p.stops++
		p.stopped = p.Now()
	}
	p.Log.Info().Str("signal", sig.String()).Msg("signal received")
	switch {
	case sig == syscall.SIGTTIN:
		p.resize(p.wanted + 1)
	case sig == syscall.SIGTTOU:
		p.resize(p.wanted - 1)
	case sig == syscall.SIGUSR1:
		p.OnReopen()
	case sig == syscall.SIGUSR2:
		p.upgrade()
	case sig == syscall.SIGHUP && !p.HungUp():
		p.reload()
	case p.phase != stopping && p.duckUntil.IsZero() && sig != syscall.SIGHUP:
		p.finish()
	case p.phase != stopping:
		p.stop()
	case p.stops > 1 && !p.forced:
		p.force()
	}
}

// finish begins the end: at once, or after a while of serving on.
func (p *pool) finish() {
	if p.phase != serving || p.LameDuck == 0 {
		p.stop()
		return
	}
	p.duckUntil = p.Now().Add(p.LameDuck)
	p.Log.Info().Str("for", p.LameDuck.String()).Msg("serving on before the drain")
	p.OnLameDuck()
}

// stop makes every slot unwanted; reconcile relays SIGINT.
func (p *pool) stop() {
	p.phase, p.duckUntil = stopping, time.Time{}
	p.reloading(false)
	p.waitAt = p.Now().Add(waitEvery)
	p.renewals, p.fresh = nil, nil
	for _, s := range p.slots {
		s.want = false
	}
	for _, w := range p.leaving {
		p.limit(w, false)
	}
	p.Log.Info().Msg("draining")
	p.OnDrain()
}

// alive says that the pool's own loop goes round.
func (p *pool) alive() {
	if !p.aliveAt.IsZero() && !p.Now().Before(p.aliveAt) {
		p.aliveAt = p.Now().Add(p.AliveEvery)
		p.OnAlive()
	}
}

func (p *pool) force() {
	p.forced = true
	if p.err == nil || p.cut > 0 {
		p.err = exitcode.New(exitcode.Forced, "stopped by force: requests under way were cut", nil)
		p.cut = 0
	}
	p.killAll("second signal")
}
