package rescue

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// beyond is how many free numbers in a row end the search above the highest
// that the worker has noted: it may have died between accept(2), which takes the
// lowest free number, and the note.
const beyond = 64

// ErrKeeperGone means that the keeper has exited, and the dead worker's descriptors
// are closed.
var ErrKeeperGone = errors.New("the keeper is gone")

// Transfer sends on a rescue channel a dead worker's records and each connection that
// its keeper has open, with the file that its record names. It sends no other
// descriptor of the worker, whatever the records say, and no connection that another
// worker may have or take over. left are connections that cannot be rescued: those of
// unix sockets, and those whose numbers have no record. Transfer may be called again
// until the keeper exits. The descriptors stay the caller's.
func Transfer(channel, records, keeper int, moving Moving) (sent, left int, err error) {
	m, err := Map(records, false)
	if err != nil {
		return 0, 0, err
	}
	defer m.Close()
	if err := ipc.SendRecords(channel, records); err != nil {
		return 0, 0, err
	}
	r := NewReader(m)
	t := transfer{channel: channel, keeper: keeper}
	defer t.close()
	given := r.given()
	waiting, err := moving.waiting()
	if err != nil {
		return 0, 0, err
	}
	for number, free := 0, 0; number <= m.Highest() || free < beyond; number++ {
		k, err := t.take(number, r.File(number))
		if err == unix.EMFILE && len(t.batch) > 0 { // the batch has the descriptors
			if err := t.flush(); err != nil {
				return sent, left, err
			}
			k, err = t.take(number, r.File(number))
		}
		switch {
		case err == unix.EBADF:
			free++
			continue
		case err == unix.ESRCH:
			return sent, left, ErrKeeperGone
		case err != nil:
			return sent, left, fmt.Errorf("take descriptor %d from a dead worker: %w", number, err)
		}
		free = 0
		if number >= m.fds && isConnection(k.Socket, unix.IPPROTO_TCP) || isLocalClient(number, k.Socket) {
			left++
		}
		elsewhere := number >= m.fds || CheckConnection(k.Socket, unix.IPPROTO_TCP) != nil || slices.Contains(waiting, cookie(k.Socket))
		if number == given && !elsewhere {
			if err = t.flush(); err == nil { // the search needs descriptors too
				elsewhere, err = moving.delivered(k.Socket, r.sealed(number))
			}
		}
		if elsewhere || err != nil {
			closeAll(k.Socket, k.File)
		}
		if err != nil {
			return sent, left, fmt.Errorf("look for a connection that was being handed over: %w", err)
		}
		if elsewhere {
			continue
		}
		if err := t.add(k); err != nil {
			return sent, left, err
		}
		sent++
	}
	return sent, left, t.flush()
}

// isLocalClient reports whether a descriptor of a worker is the connection of a client to a
// unix socket: it has the name of that, which neither end of a socketpair has. A worker may
// have inherited such a connection as its standard files and its log.
func isLocalClient(number, fd int) bool {
	if number <= 2 || number == ipc.LogFD || !isConnection(fd, UnixStream) {
		return false
	}
	name, err := unix.Getsockname(fd)
	local, ok := name.(*unix.SockaddrUnix)
	return err == nil && ok && local.Name != "@" // which is what no name becomes
}

// transfer collects connections for one message.
type transfer struct {
	channel, keeper int
	batch           []ipc.Kept
}

// take copies a descriptor of the dead worker, and that of the file which its record
// names, -1 if there is none. The error is that of pidfd_getfd(2).
func (t *transfer) take(number, file int) (ipc.Kept, error) {
	k := ipc.Kept{Number: number, File: -1}
	var err error
	if k.Socket, err = unix.PidfdGetfd(t.keeper, number, 0); err != nil || file < 0 {
		return k, err
	}
	fd, err := unix.PidfdGetfd(t.keeper, file, 0)
	switch {
	case err == unix.EBADF: // the worker had closed it
	case err != nil:
		unix.Close(k.Socket)
		return k, err
	case CheckFile(fd) != nil:
		unix.Close(fd)
	default:
		k.File = fd
	}
	return k, nil
}

func (t *transfer) add(k ipc.Kept) error {
	if t.batch = append(t.batch, k); len(t.batch) < ipc.MaxKept {
		return nil
	}
	return t.flush()
}

func (t *transfer) flush() error {
	if len(t.batch) == 0 {
		return nil
	}
	err := ipc.SendKept(t.channel, t.batch)
	t.close()
	return err
}

// close closes the copies of what was sent or could not be sent.
func (t *transfer) close() {
	for _, k := range t.batch {
		closeAll(k.Socket, k.File)
	}
	t.batch = t.batch[:0]
}
