package serve

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

const (
	// AcceptPause is how long a worker that is out of descriptors or memory stops accepting:
	// long enough not to spin, short enough to continue soon after a connection ends.
	AcceptPause = 50 * time.Millisecond
	// Quiet is how long no connection must arrive before a draining worker closes its
	// listening socket. A connection whose TCP handshake is complete but whose request is
	// still on its way is not in the accept queue yet (TCP_DEFER_ACCEPT), and closing would
	// reset it.
	Quiet = 50 * time.Millisecond
	// Deferred is how long the kernel may defer a connection whose client sends
	// nothing; it takes a little longer than configured.
	Deferred = ipc.DeferAccept + time.Second
	// QuietMax is the longest wait for Quiet when new connections keep arriving.
	QuietMax = 250 * time.Millisecond
	// SharedMost is how many connections a drain accepts at the end from a shared socket:
	// more than a full queue has. Workers cannot make such a socket refuse connections, so
	// without the master new ones may keep coming.
	SharedMost = 4096
	// WarnEvery is the shortest time between two warnings about a lack of descriptors.
	WarnEvery = 10 * time.Second
)

// ErrReserve means that the remaining descriptors are reserved for files.
var ErrReserve = errors.New("few descriptors are left")

// CachedFiles returns how many descriptors the cache of open files may hold: a quarter.
func CachedFiles() int { return max(1, MaxFiles()/4) }

// MaxFiles returns the process's limit of descriptors, at most 2^30.
func MaxFiles() int {
	var limit unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}

// IsExhausted reports whether accepting must pause because of a lack of descriptors or memory.
func IsExhausted(err error) bool {
	return err == ErrReserve || err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// IsPassing reports whether the error concerns only the connection being accepted: accept(2)
// says to treat pending network errors of the new socket like EAGAIN.
func IsPassing(err error) bool {
	switch err {
	case unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN,
		unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return true
	}
	return false
}
