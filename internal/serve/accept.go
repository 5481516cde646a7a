package serve

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

const (
	// AcceptPause is for how long a worker that is out of descriptors or memory
	// stops accepting: long enough not to spin, short enough to continue soon
	// after a connection ends.
	AcceptPause = 50 * time.Millisecond
	// Quiet is for how long nothing must have arrived until a draining worker
	// closes its listening socket. A connection whose handshake is done, but
	// whose request is still on its way (TCP_DEFER_ACCEPT), is in no accept
	// queue yet: closing would reset it.
	Quiet = 50 * time.Millisecond
	// Deferred is how long the kernel may defer a connection whose client sends
	// nothing; it takes a little longer than configured.
	Deferred = ipc.DeferAccept + time.Second
	// QuietMax bounds Quiet when new connections keep coming.
	QuietMax = 250 * time.Millisecond
	// WarnEvery is how often a lack of descriptors is logged.
	WarnEvery = 10 * time.Second
)

// ErrReserve means that the descriptors left are reserved for files.
var ErrReserve = errors.New("few descriptors are left")

// CachedFiles is how many descriptors the cache of open files may hold: a quarter.
func CachedFiles() int { return max(1, MaxFiles()/4) }

// MaxFiles is how many descriptors a process may have.
func MaxFiles() int {
	var limit unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}

// IsExhausted reports whether accepting has to pause.
func IsExhausted(err error) bool {
	return err == ErrReserve || err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// IsPassing reports whether the error belongs to the connection being accepted and
// says nothing about the next one: accept(2) asks to treat the
// pending network errors of a new socket like EAGAIN.
func IsPassing(err error) bool {
	switch err {
	case unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}
