package rescue

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// beyond is how many free numbers in a row end the search above the highest number that the worker
// has recorded. The worker may have died between accept(2), which takes the lowest free number, and
// recording it.
const beyond = 64

// Transfer sends on a rescue channel a dead worker's records and each connection that its keeper
// has open, with the file that its record names. It sends no other descriptor of the worker,
// whatever the records say, and no connection that another worker may have or take over. left is
// the number of connections that cannot be rescued: those over unix sockets, and those whose
// descriptor numbers have no record. Transfer may be called again until the keeper exits. The
// caller still owns the descriptors.
func Transfer(channel, records int, lifeline *Lifeline, moving Moving) (sent, left int, err error) {
	m, err := Map(records, false)
	if err != nil {
		return 0, 0, err
	}
	defer m.Close()
	if err := ipc.SendRecords(channel, records); err != nil {
		return 0, 0, err
	}
	t := transfer{channel: channel, lifeline: lifeline, moving: moving, reader: NewReader(m)}
	t.given = t.reader.given()
	if t.waiting, err = moving.waiting(); err != nil {
		return 0, 0, err
	}
	for number, open := 0, -1; number <= max(m.Highest(), open+beyond); {
		kept, next, err := t.take(number)
		if err == nil {
			err = t.pass(kept)
		}
		if err != nil {
			return t.sent, t.left, err
		}
		if len(kept) > 0 {
			open = kept[len(kept)-1].Number
		}
		number = next
	}
	return t.sent, t.left, nil
}

// isLocalClient reports whether a descriptor of a worker is a client's connection to a unix socket.
// Such a connection has the socket's name; the ends of a socketpair have none. A worker's standard
// files and log, which it inherits, may be such connections too.
func isLocalClient(number, fd int) bool {
	if number <= 2 || number == ipc.LogFD || !isConnection(fd, UnixStream) {
		return false
	}
	name, err := unix.Getsockname(fd)
	local, ok := name.(*unix.SockaddrUnix)
	return err == nil && ok && local.Name != "@" // an empty name is returned as "@"
}

// transfer sends the connections of a dead worker.
type transfer struct {
	channel    int
	lifeline   *Lifeline
	moving     Moving
	reader     Reader
	given      int      // descriptor number of the connection that was being handed over, -1 if there is none
	waiting    []uint64 // cookies of connections that are still in a handover channel
	sent, left int
}

// take copies the open ones of the dead worker's next descriptors, each with the file that its
// record names. The caller owns the copies; next is the number to continue with.
func (t *transfer) take(from int) (kept []ipc.Kept, next int, err error) {
	var asked []int
	var files [ipc.MaxKept]int // numbers, -1: none
	for i := range files {
		asked = append(asked, from+i)
		if files[i] = t.reader.File(from + i); files[i] >= 0 {
			asked = append(asked, files[i])
		}
	}
	all, err := t.lifeline.take(asked, time.Now().Add(answerTime))
	if err != nil {
		return nil, 0, err
	}
	take := func(number int) (fd int, open bool) {
		if len(all) == 0 || all[0].number != number {
			return -1, false
		}
		fd, all = all[0].fd, all[1:]
		return fd, true
	}
	for i, file := range files {
		k := ipc.Kept{Number: from + i, File: -1}
		socket, open := take(k.Number)
		fileOpen := false
		if k.Socket = socket; file >= 0 {
			k.File, fileOpen = take(file)
		}
		switch {
		case open && k.Socket < 0 || fileOpen && k.File < 0:
			ipc.Discard(k.Socket, k.File)
			if i == 0 {
				return nil, 0, fmt.Errorf("take descriptor %d from a dead worker: %w", from, unix.EMFILE)
			}
			return kept, k.Number, nil
		case !open:
			ipc.Discard(k.File)
			continue
		case k.File >= 0 && CheckFile(k.File) != nil:
			ipc.Discard(k.File)
			k.File = -1
		}
		kept = append(kept, k)
	}
	return kept, from + len(files), nil
}

// pass sends the connections among some descriptors, and closes all descriptors. The connection that
// was being handed over comes last, because the search for it needs free descriptors.
func (t *transfer) pass(all []ipc.Kept) error {
	var batch []ipc.Kept
	var given *ipc.Kept
	for _, k := range all {
		m := t.reader.m
		if k.Number >= m.FDs && isConnection(k.Socket, unix.IPPROTO_TCP) || isLocalClient(k.Number, k.Socket) {
			t.left++
		}
		switch {
		case k.Number >= m.FDs || CheckConnection(k.Socket, unix.IPPROTO_TCP) != nil || slices.Contains(t.waiting, cookie(k.Socket)):
			ipc.Discard(k.Socket, k.File)
		case k.Number == t.given:
			given = &k
		default:
			batch = append(batch, k)
		}
	}
	err := t.send(batch)
	if given == nil {
		return err
	}
	elsewhere := false
	if err == nil {
		if elsewhere, err = t.moving.delivered(given.Socket, t.reader.sealed(given.Number)); err != nil {
			err = fmt.Errorf("search for a connection that was being handed over: %w", err)
		}
	}
	if err != nil || elsewhere {
		ipc.Discard(given.Socket, given.File)
		return err
	}
	return t.send([]ipc.Kept{*given})
}

// send sends connections in one message, and closes them here.
func (t *transfer) send(batch []ipc.Kept) error {
	if len(batch) == 0 {
		return nil
	}
	err := ipc.SendKept(t.channel, batch)
	for _, k := range batch {
		ipc.Discard(k.Socket, k.File)
	}
	if err == nil {
		t.sent += len(batch)
	}
	return err
}
