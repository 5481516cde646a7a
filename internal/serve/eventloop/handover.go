package eventloop

import (
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
)

// An event loop can give its connections to the loop of another worker and go,
// without a client noticing. Those that cannot be frozen at the moment stay,
// and are looked at again whenever they would wait.

const (
	giveRetry = 2 * time.Millisecond // until a taker that is full is asked again
	takeBatch = 64                   // connections taken in a turn
)

// heir is who takes this loop's connections over.
type heir struct {
	fd      int           // of the bequest; 0: there is none
	retryAt time.Duration // it was full: when it is asked again; 0: it is not
}

// inherit begins to give, to another than before if there was one.
func (l *Loop) inherit(fd int) {
	l.disinherit()
	if l.heir.fd = fd; l.draining {
		l.disinherit()
	}
	l.giveAll()
}

func (l *Loop) giveAll() {
	l.heir.retryAt = 0
	for _, p := range l.peers {
		if p != nil && l.heir.fd > 0 && l.heir.retryAt == 0 {
			l.give(p)
		}
	}
}

// give hands a peer over, if that is possible now, and reports whether it has
// gone.
func (l *Loop) give(p *peer) bool {
	if l.heir.fd == 0 || l.heir.retryAt != 0 || p.fetching || !p.conn.Movable() {
		return false
	}
	file := -1
	if f := p.conn.Segment().File; f != nil {
		if file = f.Fd(); file < 0 {
			return false // its bytes are in memory, and will soon be sent
		}
	}
	l.state = p.conn.Freeze(l.state[:0], p.unsent, l.now)
	if len(l.state) > ipc.MaxState {
		return false
	}
	switch err := ipc.Give(l.heir.fd, l.state, int(p.fd), file); err {
	case nil:
		l.given(p)
		return true
	case unix.EMSGSIZE: // larger than the kernel sends: it stays
	case unix.EAGAIN, unix.ETOOMANYREFS, unix.ENOBUFS, unix.ENOMEM:
		l.heir.retryAt = l.now.Mono + giveRetry
	default:
		// The master knows, and finds another.
		l.cfg.Log.Info().Err(err).Int("connections", l.open).Msg("connections not taken over")
		l.disinherit()
	}
	return false
}

// given forgets a peer that goes on elsewhere. Its socket stays open there, so
// that closing it here would leave it in the epoll instance.
func (l *Loop) given(p *peer) {
	if p.watched {
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, int(p.fd), nil)
	}
	p.conn.Leave()
	if p.owed != nil { // nobody else knows when they began
		l.tally.Took(p.owed.whole)
		p.owed = nil
	}
	p.log.Moved("connection handed over")
	l.drop(p)
}

// disinherit ends the giving to the present heir.
func (l *Loop) disinherit() {
	if l.heir.fd > 0 {
		unix.Close(l.heir.fd)
	}
	l.heir = heir{}
}

// legacy watches a channel on which connections come from another worker.
func (l *Loop) legacy(fd int) {
	if l.takeAt == 0 { // else with the others, after the pause
		if errno := rawEpollAdd(l.epoll, fd, unix.EPOLLIN); errno != 0 {
			l.cfg.Log.Warn().Err(errno).Msg("connections of another worker not taken over")
			unix.Close(fd)
			return
		}
	}
	l.legacies = append(l.legacies, fd)
}

// takeAll takes what has come from other workers. Out of descriptors, the loop
// leaves them where they are for a moment.
func (l *Loop) takeAll() {
	paused := l.takeAt != 0
	l.takeAt = 0
	for _, fd := range slices.Clone(l.legacies) {
		l.take(fd)
	}
	if full := l.open >= l.maxClients && len(l.legacies) > 0; full {
		l.takeAt = l.now.Mono + serve.AcceptPause
	}
	if (l.takeAt != 0) != paused {
		l.watchLegacies(paused)
	}
}

// watchLegacies asks epoll for news of all legacies, or for none.
func (l *Loop) watchLegacies(wanted bool) {
	for _, fd := range l.legacies {
		// An end that is closed is news whatever is asked for, so that one has to
		// be taken out.
		if wanted {
			rawEpollAdd(l.epoll, fd, unix.EPOLLIN)
		} else {
			unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		}
	}
}

// take takes what has come from one, in a bounded portion.
func (l *Loop) take(fd int) {
	if l.inbox == nil {
		l.inbox = make([]byte, ipc.MaxState)
	}
	for range takeBatch {
		if l.open >= l.maxClients {
			return
		}
		state, socket, file, err := ipc.Take(fd, l.inbox)
		switch {
		case err == nil:
			l.adopt(state, socket, file)
		case err == unix.EAGAIN:
			return
		case errors.Is(err, ipc.ErrTruncated):
			l.cfg.Log.Warn().Err(err).Msg("connection of another worker lost")
			l.cfg.Row.Drops.Add(1)
			return
		default:
			if err != io.EOF {
				l.cfg.Log.Warn().Err(err).Msg("connections of another worker lost")
			}
			l.closeLegacy(fd)
			return
		}
	}
}

func (l *Loop) closeLegacy(fd int) {
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	unix.Close(fd)
	l.legacies = slices.DeleteFunc(l.legacies, func(known int) bool { return known == fd })
}

// adopt goes on with a connection of another worker.
func (l *Loop) adopt(state []byte, socket, file int) {
	var f conn.File
	if file >= 0 {
		f = &inherited{fd: file}
	}
	p := l.register(socket)
	l.cfg.Row.Adopted.Add(1)
	var err error
	if p.conn, p.unsent, err = conn.Thaw(&l.cfg.Conn, p.observer(), state, f, l.now); err != nil {
		l.cfg.Log.Warn().Err(err).Msg("connection of another worker lost")
		l.cfg.Row.Drops.Add(1)
		if file >= 0 {
			unix.Close(file)
		}
		l.close(p)
		return
	}
	p.log.Moved("connection taken over")
	if l.draining {
		p.conn.Drain(l.now)
	}
	p.step = conn.Flush // after what is unsent, whatever it has to send comes next
	l.serve(p)
}

// inherited is a file whose sending was begun by another worker: all that is
// left of it is its descriptor.
type inherited struct {
	fd     int
	entity proto.Entity
}

func (f *inherited) Fd() int               { return f.fd }
func (f *inherited) Body() []byte          { return nil }
func (f *inherited) Size() int64           { return 0 }
func (f *inherited) Modified() proto.Time  { return proto.Time{} }
func (f *inherited) ContentType() string   { return "" }
func (f *inherited) Coding() proto.Coding  { return proto.Identity }
func (f *inherited) Varies() bool          { return false }
func (f *inherited) CacheControl() string  { return "" }
func (f *inherited) Entity() *proto.Entity { return &f.entity }
func (f *inherited) Close()                { unix.Close(f.fd) }

var _ conn.File = (*inherited)(nil)
