package netpoll

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
)

// acceptAll accepts until drain is closed.
func (e *Engine) acceptAll(listener *os.File, drain <-chan struct{}) error {
	for {
		ended, err := e.acceptOne(listener)
		switch {
		case err == nil && ended != nil:
			select {
			case <-ended:
			case <-drain:
				return nil
			}
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case serve.IsExhausted(err):
			e.warn(err)
			if !e.pause(err, drain) {
				return nil
			}
		case !serve.IsPassing(err):
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// pause waits for descriptors. With the reserve reached, that is until a
// connection has ended. It returns false when it is time to drain.
func (e *Engine) pause(err error, drain <-chan struct{}) bool {
	full := e.open()
	for {
		select {
		case <-time.After(serve.AcceptPause):
		case <-drain:
			return false
		}
		if err != serve.ErrReserve || e.open() < full {
			return true
		}
	}
}

// open returns how many connections there are.
func (e *Engine) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sessions)
}

// acceptOne waits for a connection and starts to serve it. In the serial model
// it returns what is closed when that one has ended.
func (e *Engine) acceptOne(listener *os.File) (ended <-chan struct{}, err error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var from unix.Sockaddr
	wait := raw.Read(func(s uintptr) bool {
		fd, from, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	})
	switch {
	case wait != nil:
		return nil, wait
	case err != nil:
		return nil, err
	}
	ended = e.start(fd, from)
	if e.open() >= e.maxClients {
		return ended, serve.ErrReserve
	}
	return ended, nil
}

// acceptRest takes what has been promised an answer: what waits in the accept
// queue and what is on its way there. Out of descriptors, it waits for
// connections to end. When it is told to finish, it waits no longer for what is
// on its way than any last worker does.
func (e *Engine) acceptRest(listener *os.File, how serve.Leaving) error {
	if how.Kept {
		return nil
	}
	woken, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(woken)
		select {
		case <-e.cfg.Finish:
			listener.SetReadDeadline(past)
		case <-ended:
		}
	}()
	defer func() { close(ended); <-woken }()
	quietFor, most := how.Patience()
	for began, last := time.Now(), false; ; {
		until := time.Now().Add(quietFor)
		if time.Since(began) > most {
			until = past
		}
		// As in beginDrain: the deadline first, then a look at what may have
		// moved it meanwhile.
		listener.SetReadDeadline(until)
		if !last && e.finishing() {
			<-woken // no deadline but ours from now on
			quietFor, most = serve.Quiet, serve.QuietMax
			began, last = time.Now(), true
			continue
		}
		_, err := e.acceptOne(listener)
		switch {
		case err == nil || err == serve.ErrReserve || serve.IsPassing(err):
		case errors.Is(err, os.ErrDeadlineExceeded):
			if last || !e.finishing() {
				return nil
			}
		case serve.IsExhausted(err):
			time.Sleep(serve.AcceptPause)
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// finishing reports whether serve.Config.Finish is closed.
func (e *Engine) finishing() bool {
	select {
	case <-e.cfg.Finish:
		return true
	default:
		return false
	}
}

// warn logs that accepting pauses, unless it did so a moment ago.
func (e *Engine) warn(err error) {
	if now := time.Now(); now.Sub(e.warned) >= serve.WarnEvery {
		e.warned = now
		e.cfg.Log.Warn().Err(err).Msg("accepting paused")
	}
}
