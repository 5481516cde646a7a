package rescue

import (
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// Moving has the handover channels of a dead worker. A connection that was being
// handed over when one of the two died must continue in at most one worker. Over TLS
// two would seal with the same keys: so one whose whereabouts are unknown counts as
// handed over.
type Moving struct {
	Lock    *sync.Mutex // held while channels are searched
	Out     []Out       // on which it handed over
	In      []int       // on which it took over: the receiving ends
	Keepers []int       // pidfds of the keepers of all other workers
	Blind   bool        // not all of these could be had
}

// Out is a channel on which the dead worker handed over.
type Out struct {
	End   int // the receiving end
	Taker int // pidfd of the worker that receives; -1: it is dead too
}

// Close closes the pidfds, not the channels.
func (m *Moving) Close() {
	for _, o := range m.Out {
		closeAll(o.Taker)
	}
	closeAll(m.Keepers...)
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// waiting returns the cookies of the connections that the dead worker may have
// begun to take over, but has not taken out of their channel.
func (m *Moving) waiting() (cookies []uint64, err error) {
	m.Lock.Lock()
	defer m.Lock.Unlock()
	for _, end := range m.In {
		_, socket, file, err := ipc.PeekConnection(end, make([]byte, ipc.MaxState))
		switch {
		case err == nil:
			cookies = append(cookies, cookie(socket))
			closeAll(socket, file)
		case !isEmpty(err):
			return nil, fmt.Errorf("look into a handover channel: %w", err)
		}
	}
	return cookies, nil
}

// isEmpty reports whether an error of a handover channel says that nothing is in it.
func isEmpty(err error) bool { return err == unix.EAGAIN || err == io.EOF }

// takeTime bounds the wait for a worker to take what is in its channel.
const takeTime = 2 * time.Second

// delivered reports whether the connection that was being handed over has reached
// another worker, or is in a channel to one; unknown is the answer where that cannot
// be found out.
func (m *Moving) delivered(socket int, unknown bool) bool {
	m.Lock.Lock()
	defer m.Lock.Unlock()
	wanted := cookie(socket)
	if unknown && (m.Blind || wanted == 0) {
		return true
	}
	for _, o := range m.Out {
		for until := time.Now().Add(takeTime); ipc.Waiting(o.End) && !o.dead() && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
		if dead := o.dead(); dead && o.mayHold(wanted, unknown) || unknown && !dead && ipc.Waiting(o.End) {
			return true
		}
	}
	for _, keeper := range m.Keepers {
		if mayHave(keeper, wanted, unknown) {
			return true
		}
	}
	return false
}

// dead reports whether the receiving worker is dead.
func (o *Out) dead() bool {
	if o.Taker < 0 {
		return true
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(o.Taker), Events: unix.POLLIN}}, 0)
	return n == 1 && err == nil
}

// mayHold looks for a connection in a channel whose receiver is dead. It moves all
// connections to a new channel, which then gets the number of this one.
func (o *Out) mayHold(wanted uint64, unknown bool) (found bool) {
	from, to, err := ipc.Handover()
	if err != nil {
		return unknown
	}
	defer closeAll(from, to)
	p := make([]byte, ipc.MaxState)
	const most = 1 << 12 // more than a channel holds, in case a process keeps filling it
	n := 0
	for ; n < most; n++ {
		state, socket, file, err := ipc.ReceiveConnection(o.End, p)
		if err != nil {
			found = found || unknown && !isEmpty(err)
			break
		}
		found = found || cookie(socket) == wanted
		// The new channel has the same capacity.
		_ = ipc.SendConnection(from, state, socket, file)
		closeAll(socket, file)
	}
	if n > 0 {
		_ = unix.Dup3(to, o.End, unix.O_CLOEXEC) // between two open descriptors it does not fail
	}
	return found || unknown && n == most
}

// mayHave reports whether a worker may have a connection open, given its keeper.
func mayHave(keeper int, wanted uint64, unknown bool) bool {
	for number, free := 0, 0; free < 4*beyond; number++ {
		fd, err := unix.PidfdGetfd(keeper, number, 0)
		switch {
		case err == unix.EBADF:
			free++
			continue
		case err != nil: // no descriptor is free, or the keeper is gone
			return unknown
		}
		free = 0
		found := isConnection(fd, unix.IPPROTO_TCP) && cookie(fd) == wanted
		unix.Close(fd)
		if found {
			return true
		}
	}
	return false
}

// cookie returns the kernel's identifier of a socket, the same in all processes; 0:
// it has none.
func cookie(socket int) uint64 {
	c, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0
	}
	return c
}
