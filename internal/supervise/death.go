package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// This file handles the death of a process: its consequences for the pool, and how
// it is reported.

// died handles the exit of a process: the pool ends, the slot gets a new process, or nothing
// follows.
func (p *pool) died(w *worker, e Exit) {
	w.request = p.account(w, e)
	p.orphan(w, e)
	defer p.logExit(w, e)
	for _, o := range p.workers() { // the worker of a closing slot hands over too
		if o.successor == w {
			o.successor = nil
		}
	}
	switch {
	case w == w.slot.next:
		p.replacementDied(w, e)
		return
	case w.detached():
		p.detachedDied(w, e)
		return
	}
	was := w.slot.state
	hopeless := p.phase == serving && p.candidate != nil && w.reload == p.reloads && w.readySince.IsZero() && !fromOutside(w, e)
	if hopeless {
		// It was the first with the new settings in the slot of a dead worker, and they are wrong.
		p.toReplace, p.candidate = nil, nil
		p.reloadFails(fmt.Sprintf("reload: %v died: %s", w, p.cause(w, e)))
	}
	if p.candidate != nil && was == starting && w.reload == p.reloads {
		p.queueReplacement(w.slot) // it says nothing about the new settings, and the reload goes on with this slot's next worker
	}
	if w.reload == 0 && w.readySince.IsZero() && !fromOutside(w, e) && !exhausted(e.Err) {
		w.slot.unready = true
	}
	p.move(w.slot, exit)
	w.slot.worker = nil
	switch {
	case p.phase == stopping:
		if o := p.orphansFor(w.slot); o != nil && w.readySince.IsZero() {
			o.failed(w, e)
		}
		p.diedInDrain(w, was, e)
		p.serveQueue(w, e)
	case p.phase == launching:
		p.fail(p.startError(w, e))
	case p.isClosing(w.slot) && e.clean() && !w.queueLeft:
		w.slot.want = false // its accept queue is empty
	case p.code(w, e) == exitcode.Config && !hopeless && !w.served: // a worker that has served had a usable configuration
		p.quarantine(w, e, "")
	default:
		p.restart(w, was, e)
	}
	if p.phase == serving && w.slot.next != nil {
		if w.slot.state == exited {
			p.move(w.slot, retry)
			w.slot.want = true
		}
		p.promote(w.slot)
	}
}

// detachedDied handles the exit of a worker without a slot: it needs no replacement,
// but it may have truncated responses.
func (p *pool) detachedDied(w *worker, e Exit) {
	p.detached = slices.DeleteFunc(p.detached, func(o *worker) bool { return o == w })
	switch {
	case w.readySince.IsZero(): // it had no requests
	case p.phase == stopping:
		p.diedInDrain(w, draining, e)
	case !e.clean():
		p.tellDeath(w, e, p.cutShortLine(w, e))
	}
}

func (p *pool) cutShortLine(w *worker, e Exit) string {
	lost := "its responses were truncated"
	switch {
	case p.isOrphaned(w):
		lost = "another takes over its connections"
	case w.loss != "":
		lost = "its connections are lost: " + w.loss
	}
	return fmt.Sprintf("%v died while draining: %s%s; %s", w, p.cause(w, e), w.activity(""), lost)
}

// logExit logs an exit that is not reported elsewhere.
func (p *pool) logExit(w *worker, e Exit) {
	if w.deathTold {
		return
	}
	p.exitFields(p.Log.Info(), w, e).Msg("worker exited")
}

// tellDeath reports a death in one line, with the fields of an exit if the log has fields.
func (p *pool) tellDeath(w *worker, e Exit, line string) {
	w.deathTold = true
	if p.Deaths == nil {
		p.Alert(line)
		return
	}
	p.lastAlert = line
	p.exitFields(p.Deaths.Warn(), w, e).Msg(line)
}

func (p *pool) exitFields(l *zerolog.Event, w *worker, e Exit) *zerolog.Event {
	l = l.Int("slot", w.slot.index).Int("pid", w.pid).
		Str("cause", p.cause(w, e)).Int64("uptime_ms", p.Now().Sub(w.started).Milliseconds())
	if e.LastWords != "" {
		words := e.LastWords
		l = l.Str("last_words", words[max(0, len(words)-1024):])
	}
	return l
}

// unborn reports whether a worker that was just starting was killed by the SIGINT that ends it, which
// it could not catch yet.
func (w *worker) unborn(e Exit) bool {
	return w.readySince.IsZero() && w.signalled && e.Signal == syscall.SIGINT
}

// diedInDrain handles an exit during a drain.
func (p *pool) diedInDrain(w *worker, was state, e Exit) {
	switch {
	case e.clean(), w.unborn(e), p.forced:
	case p.isOrphaned(w):
		p.tellDeath(w, e, p.cutShortLine(w, e))
	case was == starting && p.orphansFor(w.slot) != nil: // another worker will take them over
		p.tellDeath(w, e, oneLine(p.startError(w, e).Text))
	case p.err != nil && p.cutShort > 0:
		p.cutShort++
	case p.err != nil:
	case was == starting: // it had no requests
		p.setError(p.startError(w, e))
	default:
		p.err = exitcode.New(exitcode.Failure, p.cutShortLine(w, e), e.Err)
		p.cutShort = 1
	}
}

// restart puts the slot into backoff, the first time without a delay.
func (p *pool) restart(w *worker, was state, e Exit) {
	s := w.slot
	delay := s.delay(w, p.Now(), p.Chance())
	if exhausted(e.Err) {
		s.recent = s.recent[:len(s.recent)-1] // a later respawn may help
	}
	if len(s.recent) >= deathLimit && p.others(s) {
		p.quarantine(w, e, fmt.Sprintf(", %d deaths within %v", len(s.recent), deathWindow))
		return
	}
	s.retryAt = p.Now().Add(delay)
	p.move(s, retry)
	when := respawning
	if delay > 0 {
		when = fmt.Sprintf("; respawning in %v", delay)
	}
	// A worker that exited by itself has not lost any connection.
	if was == ready && e.clean() {
		if delay > 0 {
			p.Log.Info().Int("slot", s.index).Int64("delay_ms", delay.Milliseconds()).Int("deaths", s.deaths).Msg("respawn delayed")
		}
		return
	}
	died := "died"
	if was == draining {
		died = "died while draining"
		when = "; another takes over its queue" + when
	}
	text, lost := p.circumstances(w, e)
	line := fmt.Sprintf("%v %s: %s%s", w, died, p.cause(w, e), text)
	if was == starting && e.clean() { // its binary is another program
		line = oneLine(p.startError(w, e).Text)
	}
	if o := p.orphansOf(w); o != nil && when == respawning && p.Deaths == nil {
		p.holdDeath(o, line)
		return
	}
	p.tellDeath(w, e, line+w.activity(lost)+when)
}

// quarantine gives up on a slot, because another respawn would not help.
func (p *pool) quarantine(w *worker, e Exit, why string) {
	s := w.slot
	s.want = false
	text := fmt.Sprintf("%v died: %s%s", w, p.cause(w, e), why)
	if p.isClosing(s) {
		p.tellDeath(w, e, text+"; slot closed, connections in its queue are lost")
		return
	}
	if p.others(s) {
		p.tellDeath(w, e, text+"; slot quarantined until SIGHUP")
		return
	}
	p.fail(exitcode.New(exitcode.Config, text+"; no worker is left", e.Err))
}

// others reports whether another slot is wanted.
func (p *pool) others(s *slot) bool {
	return slices.ContainsFunc(p.slots, func(o *slot) bool { return o != s && o.want })
}

// code returns the exit code of a worker, or the one that it announced.
func (p *pool) code(w *worker, e Exit) int {
	if w.failed != nil {
		return int(w.failed.ExitCode)
	}
	return e.Code
}

// cause returns why a worker died, from the best source.
func (p *pool) cause(w *worker, e Exit) string {
	switch {
	case w.failed != nil && w.failed.Reason != "":
		return oneLine(w.failed.Reason)
	case w.killed && e.Signal == syscall.SIGKILL:
		return w.killReason + ", killed"
	default:
		return e.cause()
	}
}

// startError returns the master's error for a worker that did not become ready. If it had to be
// killed before, it is not a worker of this version.
func (p *pool) startError(w *worker, e Exit) *exitcode.Error {
	const cure = "build it with make, or name it with --worker PATH"
	switch {
	case w.failed != nil:
		return exitcode.New(exitCode(int(w.failed.ExitCode)), human.Visible(w.failed.Reason), nil)
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.ENOEXEC):
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: %v; %s", w.binary, human.Cause(e.Err), cure), e.Err)
	case errors.Is(e.Err, syscall.EMFILE):
		return exitcode.New(exitcode.Failure, fmt.Sprintf("start %v: %v; raise the limit of open files (ulimit -n, LimitNOFILE=)", w, human.Cause(e.Err)), e.Err)
	case errors.Is(e.Err, syscall.EAGAIN):
		return exitcode.New(exitcode.Failure, fmt.Sprintf("start %v: %v; raise the limit of processes (ulimit -u, TasksMax=)", w, human.Cause(e.Err)), e.Err)
	case w.killed && w.readySince.IsZero():
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: does not behave like a worker of Phalanx %s (%s); %s", w.binary, p.Version, p.cause(w, e), cure), nil)
	case e.Err != nil, e.crashed(), !w.readySince.IsZero():
		return exitcode.New(exitcode.Failure, fmt.Sprintf("%v died during startup: %s", w, p.cause(w, e)), e.Err)
	default:
		return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: not a worker of Phalanx %s (%s); %s", w.binary, p.Version, e.cause(), cure), nil)
	}
}

// exhausted reports whether a process could not be started for lack of processes, memory or
// descriptors.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// circumstances describes a worker's uptime, its memory and what may have killed it, "" if
// nothing is known, and what happened to its connections.
func (p *pool) circumstances(w *worker, e Exit) (text, lost string) {
	if e.Signal == syscall.SIGKILL && !w.killed && p.explainedByOOM() {
		text = "; probably killed by the OOM killer"
	}
	if lived := p.Now().Sub(w.started); lived >= time.Second {
		text += fmt.Sprintf("; uptime %v", lived.Round(time.Second))
		if e.Memory > 0 {
			text += ", peak memory " + human.Bytes(e.Memory)
		}
	}
	switch {
	case !w.served:
	case w.loss != "" && w.connections == 0: // not counted yet
		text += "; its connections are lost: " + w.loss
	case w.loss != "":
		lost = " lost: " + w.loss
	case !p.isOrphaned(w):
		lost = " lost"
	}
	return text, lost
}

// activity returns how many connections a worker had when it died, what happened to them, and
// what it was serving; "" if it had none.
func (w *worker) activity(became string) (text string) {
	if w.connections > 0 {
		text = "; " + human.Plural(w.connections, "connection", "connections") + became
	}
	if w.request != "" {
		text += "; " + w.request
	}
	return text
}
