package serve

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptPause is for how long a worker that is out of descriptors or memory
	// stops accepting: long enough not to spin, short enough to go on as soon
	// as a connection ends.
	acceptPause = 50 * time.Millisecond
	// quiet is for how long nothing must have arrived until a draining worker
	// closes its listening socket. A connection whose handshake is done, but
	// whose request is still on its way (TCP_DEFER_ACCEPT), is in no accept
	// queue yet: closing would reset it.
	quiet = 50 * time.Millisecond
	// deferred is for how long a connection may be on its way whose client says
	// nothing: the kernel hands it over after some ten seconds (TCP_DEFER_ACCEPT).
	deferred = 11 * time.Second
	// quietMax bounds that when new connections keep coming all the same.
	quietMax = 250 * time.Millisecond
	// warnEvery is how often a lack of descriptors is logged.
	warnEvery = 10 * time.Second
)

// errReserve says that the descriptors that are left are for files.
var errReserve = errors.New("few descriptors are left")

// maxClients returns how many connections leave a reserve of descriptors: one
// for the file that each asks for, and what the worker needs itself.
func maxClients() int {
	const own = 24 // 13 of an event loop, and some that are open for a moment
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return max(1, (int(limit.Cur)-own)/2)
}

// acceptAll accepts until drain is closed.
func (w *Worker) acceptAll(listener *os.File, drain <-chan struct{}) error {
	for {
		ended, err := w.acceptOne(listener)
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
		case isExhausted(err):
			w.warn(err)
			if !w.pause(err, drain) {
				return nil
			}
		case !isPassing(err):
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// pause waits for descriptors. With the reserve reached, that is until a
// connection has ended. It returns false when it is time to drain.
func (w *Worker) pause(err error, drain <-chan struct{}) bool {
	full := w.open()
	for {
		select {
		case <-time.After(acceptPause):
		case <-drain:
			return false
		}
		if err != errReserve || w.open() < full {
			return true
		}
	}
}

// open returns how many connections there are.
func (w *Worker) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sessions)
}

// acceptOne waits for a connection and starts to serve it. In the serial model
// it returns what is closed when that one has ended.
func (w *Worker) acceptOne(listener *os.File) (ended <-chan struct{}, err error) {
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
	ended = w.start(fd, from)
	if w.open() >= w.maxClients {
		return ended, errReserve
	}
	return ended, nil
}

// acceptRest takes what has been promised an answer: what waits in the accept
// queue and what is on its way there. Out of descriptors, it waits for
// connections to end. When it is told to finish, it waits no longer for what is
// on its way than any last worker does.
func (w *Worker) acceptRest(listener *os.File, how Leaving) error {
	if how.Kept {
		return nil
	}
	woken, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(woken)
		select {
		case <-w.cfg.Finish:
			listener.SetReadDeadline(past)
		case <-ended:
		}
	}()
	defer func() { close(ended); <-woken }()
	quietFor, most := how.patience()
	for began, last := time.Now(), false; ; {
		until := time.Now().Add(quietFor)
		if time.Since(began) > most {
			until = past
		}
		// As in beginDrain: the deadline first, then a look at what may have
		// moved it meanwhile.
		listener.SetReadDeadline(until)
		if !last && w.finishing() {
			<-woken // no deadline but ours from now on
			quietFor, most = quiet, quietMax
			began, last = time.Now(), true
			continue
		}
		_, err := w.acceptOne(listener)
		switch {
		case err == nil || err == errReserve || isPassing(err):
		case errors.Is(err, os.ErrDeadlineExceeded):
			if last || !w.finishing() {
				return nil
			}
		case isExhausted(err):
			time.Sleep(acceptPause)
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// finishing reports whether Config.Finish is closed.
func (w *Worker) finishing() bool {
	select {
	case <-w.cfg.Finish:
		return true
	default:
		return false
	}
}

// warn logs that accepting pauses, unless it did so a moment ago.
func (w *Worker) warn(err error) {
	if now := time.Now(); now.Sub(w.warned) >= warnEvery {
		w.warned = now
		w.cfg.Log.Warn().Err(err).Msg("accepting paused")
	}
}

// isExhausted reports whether accepting has to pause.
func isExhausted(err error) bool {
	return err == errReserve || err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// isPassing reports whether the error belongs to the connection that was to
// be accepted and says nothing of the next one: accept(2) asks to treat the
// pending network errors of a new socket like EAGAIN.
func isPassing(err error) bool {
	switch err {
	case unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}

// address writes a client's address for the log; an IPv4 client of an IPv6
// socket has its IPv4 address.
func address(from unix.Sockaddr) string {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	}
	return "unknown"
}

// peerAddress asks for a client's address.
func peerAddress(fd int) string {
	from, err := unix.Getpeername(fd)
	if err != nil {
		return "unknown"
	}
	return address(from)
}
