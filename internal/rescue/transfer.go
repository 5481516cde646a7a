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
// worker has or will take over. Transfer may be called again until the keeper exits.
// The descriptors stay the caller's.
func Transfer(channel, records, keeper int, moving Moving) (sent int, err error) {
	m, err := Map(records, false)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	if err := ipc.SendRecords(channel, records); err != nil {
		return 0, err
	}
	r := NewReader(m)
	t := transfer{channel: channel, keeper: keeper}
	defer t.close()
	given, waiting := r.given(), moving.waiting()
	for number, free := 0, 0; number <= m.Highest() || number < m.fds && free < beyond; number++ {
		socket, err := t.get(number)
		switch {
		case err == unix.EBADF:
			free++
			continue
		case err == unix.ESRCH:
			return sent, ErrKeeperGone
		case err != nil:
			return sent, fmt.Errorf("take descriptor %d from a dead worker: %w", number, err)
		}
		free = 0
		if CheckConnection(socket, unix.IPPROTO_TCP) != nil || slices.Contains(waiting, cookie(socket)) || number == given && moving.delivered(socket) {
			unix.Close(socket)
			continue
		}
		if err := t.add(ipc.Kept{Number: number, Socket: socket, File: t.file(r.File(number))}); err != nil {
			return sent, err
		}
		sent++
	}
	return sent, t.flush()
}

// transfer collects connections for one message.
type transfer struct {
	channel, keeper int
	batch           []ipc.Kept
}

func (t *transfer) get(number int) (int, error) {
	return unix.PidfdGetfd(t.keeper, number, 0)
}

// file takes a file, -1 if it cannot be taken or is not a file.
func (t *transfer) file(number int) int {
	if number < 0 {
		return -1
	}
	fd, err := t.get(number)
	if err != nil {
		return -1
	}
	if CheckFile(fd) != nil {
		unix.Close(fd)
		return -1
	}
	return fd
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
		unix.Close(k.Socket)
		if k.File >= 0 {
			unix.Close(k.File)
		}
	}
	t.batch = t.batch[:0]
}
