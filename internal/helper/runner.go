package helper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/observe/status"
)

// Process is a helper that runs.
type Process interface {
	PID() int
	Kill()
	Wait() error // nil: it exited because there was nothing to do
}

// Config is what a [Runner] needs.
type Config struct {
	// Start starts a helper with its end of a channel, which it does not close.
	Start func(channel *os.File) (Process, error)
	Log   func(line string) // what an operator should know
	Now   func() time.Time  // time.Now
}

// Runner is the master's side: it starts the helper when there is a job, and after a
// delay again if the helper has died. Workers send lost jobs again. A Runner may be used
// by several goroutines; only Suspend waits.
type Runner struct {
	Config

	mu        sync.Mutex // guards what follows
	suspended bool
	process   Process       // nil: none runs
	ended     chan struct{} // closed when the last one has ended; nil: there was none
	channel   *ipc.Channel
	began     time.Time
	retry     time.Time     // none is started before
	backoff   time.Duration // after the next death
	told      time.Time     // when a failure of a job was logged
	status    status.Helper
}

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	healthy    = time.Minute      // life after which a death is the first one
	tellEvery  = 10 * time.Minute // failures of jobs
	stuckTime  = 2 * time.Second  // after which a killed helper counts as stuck
)

// NewRunner returns a Runner; the helper is not started yet.
func NewRunner(cfg Config) *Runner {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Runner{Config: cfg, backoff: minBackoff}
}

// Give passes a worker's job to the helper, or drops it if that is not possible now. It
// closes the file.
func (r *Runner) Give(from int, job ipc.Job, file *os.File) {
	defer file.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.runs() {
		r.status.Dropped++
		return
	}
	job.From = from
	if err := r.channel.SendFile(job, int(file.Fd())); err != nil {
		r.status.Dropped++
	}
}

// runs reports whether there is a helper, and starts one if that can be done now.
func (r *Runner) runs() bool {
	if r.process != nil || r.suspended || r.Now().Before(r.retry) {
		return r.process != nil
	}
	channel, theirs, err := ipc.Pair()
	if err == nil {
		defer theirs.Close()
		r.process, err = r.Start(theirs)
	}
	if err != nil {
		if channel != nil {
			channel.Close()
		}
		r.process = nil
		r.later(fmt.Sprintf("helper not started: %v", err))
		return false
	}
	r.channel, r.began = channel, r.Now()
	r.status.PID = r.process.PID()
	p, ended := r.process, make(chan struct{})
	r.ended = ended
	go func() {
		defer close(ended)
		r.attend(p, channel)
	}()
	return true
}

// later puts off the next start.
func (r *Runner) later(line string) {
	r.retry = r.Now().Add(r.backoff)
	r.Log(fmt.Sprintf("%s; next start in %v at the earliest", line, r.backoff))
	r.backoff = min(2*r.backoff, maxBackoff)
}

// attend reads what a helper says until it has exited.
func (r *Runner) attend(p Process, channel *ipc.Channel) {
	for {
		m, err := channel.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.Kill() // it says what it must not
			}
			break
		}
		if done, ok := m.(ipc.JobDone); ok {
			r.done(done)
		}
	}
	err := p.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	channel.Empty()
	channel.Close()
	r.process, r.channel = nil, nil
	r.status.PID, r.status.Waiting = 0, 0
	if r.Now().Sub(r.began) > healthy {
		r.backoff = minBackoff
	}
	if err != nil && !r.suspended {
		r.status.Deaths++
		r.later(fmt.Sprintf("helper (pid %d) died: %v", p.PID(), err))
	}
}

// done counts a job.
func (r *Runner) done(m ipc.JobDone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.status
	s.Waiting, s.Kept = m.Waiting, m.Kept
	switch m.Outcome {
	case ipc.JobMade:
		if m.Kind == ipc.JobDigest || m.Kind == ipc.JobCopyDigest {
			s.Digests++
			break
		}
		s.Made++
		s.Before += uint64(m.Before)
		s.After += uint64(m.After)
	case ipc.JobUseless:
		s.Useless++
	case ipc.JobFailed:
		s.Failed++
		if now := r.Now(); m.Reason != "" && now.Sub(r.told) >= tellEvery {
			r.told = now
			r.Log("helper: " + m.Reason)
		}
	}
}

// Status returns the state of the helper and its counters.
func (r *Runner) Status() *status.Helper {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	return &s
}

// Suspend ends the helper if it runs, and prevents a start until Resume. It waits for the helper, but
// not for one that is stuck in the kernel, on a disk that does not respond.
func (r *Runner) Suspend() {
	r.mu.Lock()
	r.suspended = true
	if r.process != nil {
		r.process.Kill()
	}
	ended := r.ended
	r.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(stuckTime):
	}
}

// Resume undoes Suspend.
func (r *Runner) Resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspended = false
}
