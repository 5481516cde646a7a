package netpoll

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/serve"
)

// acceptAll accepts connections until the engine drains.
func (e *Engine) acceptAll(listener *os.File, from serve.Listener) error {
	for {
		ended, err := e.acceptOne(listener, from, false)
		switch {
		case err == nil && ended != nil:
			select {
			case <-ended:
			case <-e.told:
				return nil
			}
		case err == nil:
			if !e.awaitRoom() {
				return nil
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case serve.IsExhausted(err):
			e.warn(err)
			if !e.pause() || !e.awaitRoom() {
				return nil
			}
		case !serve.IsPassing(err):
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// awaitRoom waits until the connections closed to make room have released their descriptors.
// It returns false when the engine drains.
func (e *Engine) awaitRoom() bool {
	for e.full() {
		select {
		case <-e.ended:
		case <-time.After(serve.AcceptPause):
			e.makeRoom(nil) // some had received a request, and stay
		case <-e.told:
			return false
		}
	}
	return true
}

// pause waits for a moment without descriptors or memory. It returns false when the engine drains.
func (e *Engine) pause() bool {
	select {
	case <-time.After(serve.AcceptPause):
		return true
	case <-e.told:
		return false
	}
}

// full reports whether the limit of connections is exceeded.
func (e *Engine) full() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.limits.Exceeded(len(e.sessions))
}

// acceptOne waits for a connection and starts a session for it. Past its deadline, Go does not
// even try to accept: empty says that a connection which is in the queue by then is accepted.
// In the serial model, ended is closed when the session has ended.
func (e *Engine) acceptOne(listener *os.File, from serve.Listener, empty bool) (ended <-chan struct{}, err error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var peer unix.Sockaddr
	accept := func(s uintptr) bool {
		fd, peer, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err != unix.EAGAIN
	}
	wait := raw.Read(accept)
	if empty && errors.Is(wait, os.ErrDeadlineExceeded) {
		raw.Control(func(s uintptr) {
			if accept(s) {
				wait = nil
			}
		})
	}
	switch {
	case wait != nil:
		return nil, wait
	case err != nil:
		return nil, err
	}
	client := new(clientip.Addr)
	*client = serve.PeerOf(peer)
	counted, ok := false, true
	if !e.cfg.Proxied.Contains(*client) { // otherwise the PROXY header names the client
		counted, ok = e.admit(client)
	}
	if !ok {
		return nil, unix.Close(fd)
	}
	s, ended := e.start(fd, from, client, counted)
	if !e.makeRoom(s) {
		return ended, serve.ErrReserve
	}
	return ended, nil
}

func (e *Engine) admit(client *clientip.Addr) (counted, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.limits.Admit(client, e.clock.Mono())
}

// makeRoom ends sessions until the limit of connections is met: first those that have been
// idle for longest, then those whose heads have been incomplete for longest. It returns false
// if that does not suffice. The newest session is spared, since its first request may be on
// its way.
func (e *Engine) makeRoom(newest *session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.limits.Exceeded(len(e.sessions)) {
		return true
	}
	for {
		longest, staying := e.longestWaiting(newest)
		if !e.limits.Exceeded(staying) {
			return true
		}
		e.limits.Reached(e.clock.Mono())
		if longest == nil {
			return false
		}
		longest.unwanted.Store(true)
		longest.file.SetReadDeadline(past)
	}
}

// longestWaiting returns the session that has been idle for longest, except some that are still
// delivering with HTTP/2, or else the one whose head has been incomplete for longest and at least
// for HeadPatience; nil if there is none.
// staying is the number of sessions that are not being ended. mu must be held.
func (e *Engine) longestWaiting(newest *session) (longest *session, staying int) {
	var head *session
	var since, headSince time.Duration
	latest := e.clock.Mono() - serve.HeadPatience
	spared := 0
	for s := range e.sessions {
		if s.unwanted.Load() {
			continue
		}
		staying++
		s.mu.Lock()
		state, began, version := s.view.State, s.view.Since, s.view.Version
		s.mu.Unlock()
		switch {
		case s == newest:
		case state == conn.Idle && (longest == nil || began < since):
			if version == conn.HTTP2 && spared < serve.MostSpared && s.delivering() {
				spared++
				continue
			}
			longest, since = s, began
		case state == conn.Receiving && began < latest && (head == nil || began < headSince):
			head, headSince = s, began
		}
	}
	if longest == nil {
		longest = head
	}
	return longest, staying
}

// delivering is serve.Delivering, for any goroutine.
func (s *session) delivering() (yes bool) {
	if s.raw != nil {
		s.raw.Control(func(fd uintptr) { yes = serve.Delivering(int(fd)) })
	}
	return yes
}

// makesRoom reports whether an unwanted session ends, and counts it. It does not end if its
// client has sent something in the meantime.
func (s *session) makesRoom(now conn.Now) bool {
	idle := s.idle()
	view := s.conn.View()
	if s.unread() > 0 || !idle && (view.State == conn.Sending || now.Mono-view.Since < serve.HeadPatience) {
		return false
	}
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limits.Closed(idle)
	return true
}

// acceptRest accepts the connections in the accept queue and on their way to it, as the drain
// requires. Without free descriptors it waits for connections to end. If a later Drain makes
// this the last worker, its shorter limits apply.
func (e *Engine) acceptRest(listener *os.File, from serve.Listener) error {
	var how *serve.Drain
	var began time.Time
	late := 0 // connections accepted after the longest wait
	for {
		if now := e.armListener(listener, how, began); now != how {
			how, began = now, time.Now()
			continue
		}
		if how.Leaves(from) {
			return nil
		}
		_, err := e.acceptOne(listener, from, !from.Shared || late < serve.SharedMost)
		if _, most := how.Quiet(); err == nil && time.Since(began) > most {
			late++
		}
		switch {
		case err == nil || err == serve.ErrReserve || serve.IsPassing(err):
		case errors.Is(err, os.ErrDeadlineExceeded):
			if e.drain.Load() == how {
				return nil
			}
		case serve.IsExhausted(err):
			time.Sleep(serve.AcceptPause)
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// armListener returns how the engine drains now. If that is how, it sets the deadline for the
// next connection.
func (e *Engine) armListener(listener *os.File, how *serve.Drain, began time.Time) *serve.Drain {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.drain.Load(); now != how {
		return now
	}
	quietFor, most := how.Quiet()
	until := time.Now().Add(quietFor)
	if time.Since(began) > most {
		until = past
	}
	listener.SetReadDeadline(until)
	return how
}

// warn logs that accepting is paused, at most every WarnEvery.
func (e *Engine) warn(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); now.Sub(e.warned) >= serve.WarnEvery {
		e.warned = now
		e.cfg.Log.Warn().Err(err).Msg("accepting paused")
	}
}
