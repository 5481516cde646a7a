package supervise

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// This file sends messages and signals to workers.

func (p *pool) killAll(why string) {
	for _, w := range p.workers() {
		p.kill(w, why)
	}
}

func (p *pool) kill(w *worker, why string) {
	p.Log.Info().Int("slot", w.slot.index).Int("pid", w.pid).Str("why", why).Msg("worker killed")
	if !w.killed {
		w.killedAt = p.Now()
	}
	w.deadline, w.drainBy, w.spared = p.Now().Add(killedTime), time.Time{}, false
	w.killReason, w.killed = why, true
	p.signalWorker(w, syscall.SIGKILL)
}

// interrupt relays SIGINT to a worker, once, if it is alive. A worker that is rescuing connections
// must serve first.
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

// send sends a message, and kills a worker that does not accept it.
func (p *pool) send(w *worker, m ipc.Message) {
	if err := w.proc.Send(m); err != nil && !errors.Is(err, syscall.EPIPE) {
		p.kill(w, err.Error())
	}
}

// share tells a worker how many slots share the limits of the pool, unless it knows. A worker of
// another version may not know the message, and is about to be replaced.
func (p *pool) share(w *worker) {
	if !p.Shares || !w.served || w.killed || max(1, w.share) == p.wanted || w.version != p.Version {
		return
	}
	w.share = p.wanted
	p.send(w, ipc.Share{Slots: uint16(p.wanted)})
}

// sendCredentials sends a worker the current credentials. A draining worker does not need them.
func (p *pool) sendCredentials(w *worker) {
	if p.Credentials == nil || w.killed || w.draining() {
		return
	}
	file, id, err := p.Credentials()
	if err == nil {
		p.credentials = id
		if err = w.proc.SendFile(ipc.Credentials{ID: id}, int(file.Fd())); err != nil {
			err = fmt.Errorf("pass certificates to a worker: %w", err)
		}
		file.Close()
	}
	switch {
	case err == nil:
		w.offered++
	case errors.Is(err, syscall.EPIPE):
	case errors.Is(err, ipc.ErrFull), p.phase == launching && !w.served:
		p.kill(w, err.Error()) // a start fails with this reason
	default:
		p.sendCredentialsLater(err)
	}
}

// credentialsRefused reports that a worker cannot use the credentials that it was sent, once for
// each set of credentials.
func (p *pool) credentialsRefused(w *worker, m ipc.CredentialsRefused) {
	if w.offered == 0 {
		return
	}
	w.offered--
	p.Alert(fmt.Sprintf("%v: certificates refused: %s; the current ones stay in use", w, oneLine(m.Reason)))
}

// resendTime is the delay before sending credentials is retried.
const resendTime = time.Second

// sendCredentialsLater notes that the master could not send credentials: it was out of descriptors,
// or a worker has so many in sockets that the kernel accepts no more from its user. Workers keep the
// credentials that they have.
func (p *pool) sendCredentialsLater(err error) {
	if !p.unsent {
		p.unsent = true
		p.Alert(oneLine(err.Error()) + "; trying again until it can be done")
	}
	p.resendAt = p.Now().Add(resendTime)
}

func (p *pool) sendCredentialsToAll() {
	p.resendAt = time.Time{}
	for _, w := range p.workers() {
		p.sendCredentials(w)
	}
	if p.resendAt.IsZero() {
		p.unsent = false
	}
}

// confirmCredentials calls OnCredentials when all workers use newer credentials.
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
