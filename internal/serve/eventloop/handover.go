package eventloop

import (
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// An event loop can hand its connections over to the loop of another worker and end,
// without a client noticing. A connection that cannot be frozen at the moment stays, and
// is tried again whenever it is about to wait.

const (
	handoverRetry = 2 * time.Millisecond // delay before a full channel is tried again
	takeOverBatch = 64                   // connections taken over in a turn
)

// handover is the channel on which this loop hands its connections over.
type handover struct {
	fd      int           // 0: there is no channel
	retryAt time.Duration // when a full channel is tried again; 0: it is not full
}

// handOverTo begins to hand over on a channel, which replaces the previous one.
func (l *Loop) handOverTo(fd int) {
	l.endHandover()
	if l.to.fd = fd; l.told {
		l.endHandover()
	}
	l.handOverAll()
}

func (l *Loop) handOverAll() {
	l.to.retryAt = 0
	for _, p := range l.peers {
		if p != nil && l.to.fd > 0 && l.to.retryAt == 0 {
			l.handOver(p)
		}
	}
}

// handOver hands a peer over if that is possible now, and reports whether it did.
func (l *Loop) handOver(p *peer) bool {
	if l.to.fd == 0 || l.to.retryAt != 0 || p.fetching || !p.http().Movable() || p.tls != nil && !p.tls.Movable() {
		return false
	}
	file := -1
	if f := p.http().Segment().File; f != nil {
		if file = f.Fd(); file < 0 {
			return false // its bytes are in memory, and will soon be sent
		}
	}
	l.freeze(p)
	if len(l.state) > ipc.MaxState {
		return false
	}
	l.giving(p)
	rescue.Point("give")
	switch err := ipc.SendConnection(l.to.fd, l.state, int(p.fd), file); err {
	case nil:
		rescue.Point("given")
		l.handedOver(p)
		return true
	case unix.EMSGSIZE: // too large for the kernel: the connection stays
	case unix.EAGAIN, unix.ETOOMANYREFS, unix.ENOBUFS, unix.ENOMEM:
		l.to.retryAt = l.now.Mono + handoverRetry
	default:
		// The master notices too, and sends another channel.
		l.cfg.Log.Info().Err(err).Int("connections", l.open).Msg("connections not taken over")
		l.endHandover()
	}
	l.cfg.Records.Kept(int(p.fd))
	return false
}

// handedOver forgets a peer that was handed over. The other worker keeps its socket open, so
// closing the descriptor here would not remove the socket from the epoll instance.
func (l *Loop) handedOver(p *peer) {
	if p.watched {
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, int(p.fd), nil)
	}
	p.http().Leave()
	if p.tls != nil { // from now on only the other worker may seal
		p.tls.Leave()
		p.tls = nil
	}
	l.tally.Took(p.undelivered()) // the other worker does not know their start times
	p.log.Event("connection handed over")
	l.cfg.Records.Closing(int(p.fd))
	l.drop(p)
}

// endHandover closes the channel, which tells the other loop that no more connections come.
func (l *Loop) endHandover() {
	if l.to.fd > 0 {
		unix.Close(l.to.fd)
	}
	l.to = handover{}
}

// endHandovers closes the remaining channels in both directions when the loop ends.
func (l *Loop) endHandovers() {
	for len(l.from) > 0 {
		l.closeFrom(l.from[0])
	}
	l.endHandover()
}

// takeOverFrom begins to take over connections on a channel from another worker.
func (l *Loop) takeOverFrom(fd int) {
	if l.takeAt == 0 { // during a pause, epoll watches no channel
		if errno := rawEpollAdd(l.epoll, fd, unix.EPOLLIN); errno != 0 {
			l.cfg.Log.Warn().Err(errno).Msg("connections of another worker not taken over")
			unix.Close(fd)
			return
		}
	}
	l.from = append(l.from, fd)
}

// takeOverAll takes over the connections that other workers have sent. If the loop is out of
// descriptors, it leaves them in their channels for a moment.
func (l *Loop) takeOverAll() {
	paused := l.takeAt != 0
	l.takeAt = 0
	for _, fd := range slices.Clone(l.from) {
		l.takeOver(fd)
	}
	if l.limits.Impossible(l.open+1) && len(l.from) > 0 {
		l.takeAt = l.now.Mono + serve.AcceptPause
	}
	if (l.takeAt != 0) != paused {
		l.watchFrom(paused)
	}
}

// watchFrom registers all channels from other workers with epoll, or removes them. If epoll refuses
// one, the pause continues.
func (l *Loop) watchFrom(wanted bool) {
	for _, fd := range l.from {
		// epoll reports a closed channel whatever events are requested, so the
		// descriptor must be removed.
		if !wanted {
			unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		} else if errno := rawEpollAdd(l.epoll, fd, unix.EPOLLIN); errno != 0 {
			l.watchFrom(false) // as in every pause
			l.takeAt = l.now.Mono + serve.AcceptPause
			return
		}
	}
}

// takeOver takes over a bounded number of connections from one channel.
func (l *Loop) takeOver(fd int) {
	if l.inbox == nil {
		l.inbox = make([]byte, ipc.MaxState)
	}
	for range takeOverBatch {
		if l.limits.Impossible(l.open + 1) {
			return
		}
		state, socket, file, err := ipc.PeekConnection(fd, l.inbox)
		switch {
		case err == nil:
			// The connection stays in the channel until its record is written.
			rescue.Point("from")
			p := l.restore(state, socket, file)
			ipc.NextConnection(fd)
			rescue.Point("from")
			if p != nil {
				l.serve(p)
			}
		case err == unix.EAGAIN:
			return
		case err == unix.EMFILE:
			l.exhausted("taking over paused", err)
			l.takeAt = l.now.Mono + serve.AcceptPause
			return
		case errors.Is(err, ipc.ErrTruncated):
			ipc.NextConnection(fd)
			l.notRestored(err)
			return
		default:
			if err != io.EOF {
				l.cfg.Log.Warn().Err(err).Msg("connections of another worker lost")
			}
			l.closeFrom(fd)
			return
		}
	}
}

func (l *Loop) closeFrom(fd int) {
	unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	unix.Close(fd)
	l.from = slices.DeleteFunc(l.from, func(known int) bool { return known == fd })
}

// restore creates the peer of another worker's connection; nil if that fails.
func (l *Loop) restore(state []byte, socket, file int) *peer {
	l.cfg.Row.TakenOver.Add(1)
	if err := checkForeign(socket, file); err != nil {
		ipc.Discard(socket, file)
		l.notRestored(err)
		return nil
	}
	var f conn.File
	if file >= 0 {
		f = l.fileOf(file)
	}
	as, state, ok := l.cutArrival(state, socket)
	if !ok {
		state = nil // it is invalid
	}
	p, err := l.thaw(state, socket, f, as, nil)
	if err != nil {
		l.notRestored(err)
		return nil
	}
	p.log.Event("connection taken over")
	return p
}

// checkForeign makes sure that no operation on another worker's descriptors can block: that
// worker may be compromised.
func checkForeign(socket, file int) error {
	if err := rescue.CheckConnection(socket, unix.IPPROTO_TCP, unix.IPPROTO_MPTCP, rescue.UnixStream); err != nil || file < 0 {
		return err
	}
	return rescue.CheckFile(file)
}

func (l *Loop) notRestored(err error) {
	l.cfg.Log.Warn().Err(err).Msg("connection of another worker lost")
	l.cfg.Row.Dropped.Add(1)
}

// thaw makes a connection from its state, or closes it if the state is invalid. as is what
// is known of its beginning. since is what happened to it after a dead worker had recorded
// the state; nil: nothing.
func (l *Loop) thaw(state []byte, socket int, f conn.File, as arrival, since *rescue.Found) (*peer, error) {
	p := l.register(socket, as.client)
	l.cfg.Records.Opened(socket)
	l.arrive(p, as)
	state, err := l.thawTLS(p, state)
	if err == nil {
		p.http1, p.unsent, err = conn.Thaw(&l.cfg.Conn, p.log.Observer(&l.tally), state, f, l.now)
	}
	p.http1.From(as.client) // close uncounts it
	if err != nil {
		if f != nil {
			f.Close()
		}
		l.close(p)
		return nil, err
	}
	if p.tls != nil {
		p.http1.Secure()
	} else if serve.Local(socket) {
		p.http1.Local()
	}
	if since != nil && p.tls != nil {
		p.unsent = since.Unsent
		p.http().Unsent(len(p.unsent), l.now)
		p.tls.Receive(since.Held)
		p.tls.Hold()
	}
	if l.cfg.Rate.Limited() {
		p.aside.bucket.Empty(l.now.Mono) // how much it has sent is not known
	}
	l.taken(p)
	if l.told {
		p.http().Drain(l.now)
	}
	p.step = conn.Flush // once unsent has been sent, ask for more
	return p, nil
}
