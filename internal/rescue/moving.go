package rescue

import (
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// Moving has the handover channels of a dead worker. A connection that was being handed over when
// one of the two workers died must continue in at most one worker. With TLS two workers would
// encrypt with the same keys, so a TLS connection that cannot be found counts as handed over.
type Moving struct {
	Lock   *sync.Mutex // held while channels are searched
	Out    []Out       // channels on which the dead worker handed over
	In     []int       // receiving ends of the channels on which it took over
	Others []Other     // all other workers, each before those that it hands over to
	Blind  bool        // some workers or channels cannot be searched
}

// Other is a worker that may have received the connection, and handed it over in turn.
type Other struct {
	Lifeline *Lifeline // lifeline of its keeper; nil: it has neither a keeper nor connections
	Out      []Out
}

// Out is a channel on which a worker hands over.
type Out struct {
	End   int // receiving end
	Taker int // pidfd of the receiving worker; -1: it is dead too
}

// Close closes the pidfds, not the channels.
func (m *Moving) Close() {
	for _, o := range append(m.Others, Other{nil, m.Out}) {
		for _, out := range o.Out {
			ipc.Discard(out.Taker)
		}
	}
}

// waiting returns the cookies of the connections in channels to the dead worker. It may have begun
// to take them over.
func (m *Moving) waiting() (cookies []uint64, err error) {
	m.Lock.Lock()
	defer m.Lock.Unlock()
	for _, end := range m.In {
		_, socket, file, err := ipc.PeekConnection(end, make([]byte, ipc.MaxState))
		switch {
		case err == nil:
			cookies = append(cookies, cookie(socket))
			ipc.Discard(socket, file)
		case !isEmpty(err):
			return nil, fmt.Errorf("inspect a handover channel: %w", err)
		}
	}
	return cookies, nil
}

// isEmpty reports whether an error means that a handover channel is empty.
func isEmpty(err error) bool { return err == unix.EAGAIN || err == io.EOF }

// takeTime limits the wait for a worker to take the connections from its channel.
const takeTime = 2 * time.Second

// searchTime is the time after which no further keeper is asked. With the time for the last answer,
// it is less than the worker that takes over waits for a message.
const searchTime = 4 * time.Second

// delivered reports whether the connection that was being handed over has reached another worker,
// or is in a channel to one. It returns unknown if it cannot find out. It searches each worker
// before its channels, and these before the workers that receive on them, so that it cannot miss a
// connection that moves on meanwhile. The error is EMFILE or ENFILE if no descriptor is free for
// the search.
func (m *Moving) delivered(socket int, unknown bool) (bool, error) {
	m.Lock.Lock()
	defer m.Lock.Unlock()
	wanted := cookie(socket)
	if unknown && (m.Blind || wanted == 0) {
		return true, nil
	}
	until, asked := time.Now().Add(takeTime), time.Now().Add(searchTime)
	if has, err := inChannels(m.Out, wanted, unknown, until); has || err != nil {
		return has, err
	}
	for _, o := range m.Others {
		if o.Lifeline != nil {
			if has, err := mayHave(o.Lifeline, wanted, unknown, asked); has || err != nil {
				return has, err
			}
		}
		if has, err := inChannels(o.Out, wanted, unknown, until); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// inChannels reports whether a connection is, or may be, in one of these channels. A channel to a
// living worker cannot be searched; that worker has the time until then to empty it.
func inChannels(channels []Out, wanted uint64, unknown bool, until time.Time) (bool, error) {
	for _, o := range channels {
		for ipc.Waiting(o.End) && !o.dead() && time.Now().Before(until) {
			time.Sleep(time.Millisecond)
		}
		if !o.dead() {
			if ipc.Waiting(o.End) {
				return true, nil
			}
			continue
		}
		if held, err := o.holds(wanted, unknown); held || err != nil {
			return held, err
		}
	}
	return false, nil
}

// dead reports whether the receiving worker is dead.
func (o *Out) dead() bool {
	if o.Taker < 0 {
		return true
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(o.Taker), Events: unix.POLLIN}}, 0)
	return n == 1 && err == nil
}

// holds reports whether a connection is in a channel whose receiver is dead.
func (o *Out) holds(wanted uint64, unknown bool) (bool, error) {
	const off = -1
	if err := unix.SetsockoptInt(o.End, unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
		return unknown, nil
	}
	defer unix.SetsockoptInt(o.End, unix.SOL_SOCKET, unix.SO_PEEK_OFF, off)
	p := make([]byte, ipc.MaxState)
	const most = 1 << 12 // more than a channel holds, in case a process keeps filling it
	for range most {
		_, socket, file, err := ipc.PeekConnection(o.End, p) // each call returns the next one
		switch {
		case isExhausted(err):
			return false, err
		case err != nil:
			return unknown && !isEmpty(err), nil
		}
		found := cookie(socket) == wanted
		ipc.Discard(socket, file)
		if found {
			return true, nil
		}
	}
	return unknown, nil
}

// mayHave reports whether a worker may have a connection open, which it asks the worker's keeper,
// unless it is later than until. Each question has the full time for its answer, however late it
// is: one keeper that does not answer must not make the others seem silent.
func mayHave(l *Lifeline, wanted uint64, unknown bool, until time.Time) (bool, error) {
	for number, open := 0, -1; number <= open+4*beyond; {
		var asked []int
		for n := number; len(asked) < ipc.MaxRights; n++ {
			asked = append(asked, n)
		}
		if !time.Now().Before(until) {
			return unknown, nil
		}
		all, err := l.take(asked, time.Now().Add(answerTime))
		if err != nil { // the keeper is gone
			return unknown, nil
		}
		next, found := number+ipc.MaxRights, false
		for _, t := range all {
			if t.fd < 0 {
				next = t.number
				break
			}
			open = t.number
			found = found || isConnection(t.fd, unix.IPPROTO_TCP) && cookie(t.fd) == wanted
			ipc.Discard(t.fd)
		}
		switch {
		case found:
			return true, nil
		case next == number:
			return false, unix.EMFILE
		}
		number = next
	}
	return false, nil
}

// isExhausted reports whether an error means that no descriptor is free.
func isExhausted(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }

// cookie returns the kernel's identifier of a socket, which is the same in all processes; 0 if it
// has none.
func cookie(socket int) uint64 {
	c, _ := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_COOKIE)
	return c
}
