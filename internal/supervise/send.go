package supervise

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// This file is what the pool does to a worker: messages and signals.

func (p *pool) killAll(why string) {
	for _, w := range p.workers() {
		p.kill(w, why)
	}
}

func (p *pool) kill(w *worker, why string) {
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Str("why", why).Msg("worker killed")
	w.deadline, w.drainBy = time.Time{}, time.Time{}
	w.killReason, w.killed = why, true
	p.signalWorker(w, syscall.SIGKILL)
}

// interrupt relays SIGINT, once, and not to the dead. A worker that takes over the
// connections of another has to serve first.
func (p *pool) interrupt(w *worker) {
	if w.signalled || w.killed || w.rescuing != nil {
		return
	}
	w.signalled = true
	p.signalWorker(w, syscall.SIGINT)
}

func (p *pool) signalWorker(w *worker, sig syscall.Signal) {
	if err := w.proc.Signal(sig); err != nil {
		p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Err(err).Msg("signal not sent")
	}
}

// send sends a message; a worker that does not take it is of no use.
func (p *pool) send(w *worker, m ipc.Message) {
	if err := w.proc.Send(m); err != nil && !errors.Is(err, syscall.EPIPE) {
		p.kill(w, err.Error())
	}
}

// share tells a worker among how many slots the limits of the pool are divided, unless
// it knows. One of another version may not know the message, and is about to be replaced.
func (p *pool) share(w *worker) {
	if !p.Shares || !w.served || w.killed || max(1, w.share) == p.wanted || w.version != p.Version {
		return
	}
	w.share = p.wanted
	p.send(w, ipc.Share{Slots: p.wanted})
}

// sendCredentials sends a worker the certificates and keys that are in force. One that
// drains has no use for them.
func (p *pool) sendCredentials(w *worker) {
	if p.Credentials == nil || w.killed || w.draining() {
		return
	}
	file, id, err := p.Credentials()
	switch {
	case err == nil:
	case p.phase == launching && !w.served:
		p.kill(w, err.Error()) // the start fails for that reason
		return
	default:
		p.sendCredentialsLater(err)
		return
	}
	p.credentials, p.unsent = id, false
	err = w.proc.SendFile(ipc.Credentials{ID: id}, int(file.Fd()))
	file.Close()
	w.offered++
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		p.kill(w, err.Error())
	}
}

// credentialsRefused tells that a worker cannot use the credentials that it was sent, once
// for each time.
func (p *pool) credentialsRefused(w *worker, m ipc.CredentialsRefused) {
	if w.offered == 0 {
		return
	}
	w.offered--
	p.Alert(fmt.Sprintf("%v: certificates not taken: %s; the current ones stay in use", w, oneLine(m.Reason)))
}

// resendTime is after what time credentials are sent that could not be.
const resendTime = time.Second

// sendCredentialsLater notes that this process could not send credentials, as without a
// free descriptor. Workers go on with those that they have.
func (p *pool) sendCredentialsLater(err error) {
	if !p.unsent {
		p.unsent = true
		p.Alert(oneLine(err.Error()) + "; trying again until it can be done")
	}
	p.resendAt = p.Now().Add(resendTime)
}

// resendCredentials sends them again when it is time for that.
func (p *pool) resendCredentials() {
	if !p.resendAt.IsZero() && !p.Now().Before(p.resendAt) {
		p.sendCredentialsToAll()
	}
}

func (p *pool) sendCredentialsToAll() {
	p.resendAt = time.Time{}
	for _, w := range p.workers() {
		p.sendCredentials(w)
	}
}

// confirmCredentials tells which credentials are in use everywhere.
func (p *pool) confirmCredentials() {
	if p.OnCredentials == nil {
		return
	}
	least := p.credentials
	for _, w := range p.workers() {
		if w.served && !w.killed && !w.draining() {
			least = min(least, w.credentials)
		}
	}
	if least > p.confirmed {
		p.confirmed = least
		p.OnCredentials(least)
	}
}
