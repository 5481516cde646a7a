package eventloop

import (
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// peer is a connection in an event loop.
type peer struct {
	conn conn.Conn
	fd   int32
	step conn.Step  // what conn wants as soon as unsent has been sent
	kind conn.Timer // in which list of timers it is

	watched     bool // by epoll
	readable    bool // there may be something to receive
	writable    bool // the socket may take more
	hungUp      bool // the client has ended its side: an EOF follows what is received
	fetching    bool // it waits for the disk
	gone        bool // it ended while it waited; its memory is not free yet
	secure      bool // its client speaks TLS
	placed      bool // some of its bytes are in a place of its own, see serve.Config.Records
	queued      int32
	fetched     *fetched     // nil at most times
	undelivered *undelivered // likewise

	timer  link           // in the list of its kind
	turn   link           // in the queue of those that need no event to continue
	armed  time.Duration  // the deadline for which it was put into its list
	unsent []byte         // bytes of responses that the socket did not take
	log    *serve.Journal // nil: nothing is logged
}

// undelivered has the start times of requests whose responses are whole but not sent
// yet.
type undelivered struct{ began []time.Duration }

// newPeer returns the peer of a connection that was accepted, from a listening socket
// for TLS if it is secure.
func (l *Loop) newPeer(fd int, secure bool) *peer {
	rescue.Point(rescue.PointAccepted)
	p := l.register(fd)
	p.secure = secure
	l.cfg.Records.Opened(fd)
	l.cfg.Row.Accepted.Add(1)
	p.log.Opened()
	p.conn = conn.New(&l.cfg.Conn, p.log.Observer(&l.tally), l.now)
	if l.told {
		p.conn.Drain(l.now)
	}
	return p
}

// register makes a place for a connection that has no state yet.
func (l *Loop) register(fd int) *peer {
	var p *peer
	if n := len(l.free); n > 0 {
		p, l.free = l.free[n-1], l.free[:n-1]
	} else {
		p = &peer{}
	}
	*p = peer{fd: int32(fd), readable: true, writable: true}
	p.timer.peer, p.turn.peer = p, p
	p.log = serve.NewJournal(&l.cfg, &l.tally, fd)
	for fd >= len(l.peers) {
		l.peers = append(l.peers, make([]*peer, max(64, len(l.peers)))...)
	}
	l.peers[fd] = p
	l.open++
	return p
}

func (l *Loop) close(p *peer) {
	l.cfg.Records.Closing(int(p.fd))
	p.conn.Abort(serve.ErrLost)
	p.log.Closed()
	l.drop(p)
}

// drop closes the socket and forgets the peer.
func (l *Loop) drop(p *peer) {
	if p.undelivered != nil {
		l.cfg.Row.Cut.Add(uint64(len(p.undelivered.began)))
	}
	l.dropped = true
	p.timer.remove()
	p.turn.remove()
	l.forget(p)
	l.peers[p.fd] = nil
	l.open--
	if p.gone = true; !p.fetching {
		l.reuse(p)
	}
}

// reuse keeps the memory of a peer to which nothing refers any longer.
func (l *Loop) reuse(p *peer) {
	if p.unsent = nil; len(l.free) < freeMax {
		l.free = append(l.free, p)
	}
}

// event records what epoll reported for a peer, and serves it.
func (l *Loop) event(p *peer, events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.readable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.hungUp = true
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.writable = true
	}
	if p.turn.linked() || p.fetching {
		return // its turn comes anyway
	}
	l.serve(p)
}

// fetched continues the peers whose bytes have come from the disk.
func (l *Loop) fetched() {
	for _, p := range l.disk.take() {
		p.fetching = false
		p.log.Fetch(false)
		if p.gone {
			l.reuse(p)
			continue
		}
		l.later(p)
	}
}

// serve serves a peer until it has to wait for an event, has had its share of the
// turn, or has ended.
func (l *Loop) serve(p *peer) {
	l.cfg.Records.Serving(int(p.fd))
	for reads := 0; ; {
		if len(p.unsent) > 0 {
			if !p.writable {
				l.park(p)
				return
			}
			if !l.sendUnsent(p) {
				return
			}
			continue
		}
		switch p.step {
		case conn.Read, conn.Linger:
			if !p.readable {
				l.park(p)
				return
			}
			if reads++; reads > readBatch {
				l.later(p)
				return
			}
			if !l.receive(p) {
				return
			}
		case conn.Send:
			// Its turn comes after the peers that need less.
			if !p.fetching {
				l.later(p)
			}
			return
		case conn.Flush:
			l.later(p)
			return
		case conn.Reset:
			unix.SetsockoptLinger(int(p.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			l.close(p)
			return
		default:
			l.close(p)
			return
		}
	}
}

// park leaves a peer to wait for an event. All events are asked for once and
// for all, and are told when they come anew (edge-triggered): a connection
// costs one epoll_ctl, and one that is closed before it ever waits costs none.
func (l *Loop) park(p *peer) {
	if l.to.fd > 0 && l.handOver(p) {
		return
	}
	if !p.watched {
		const events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
		if errno := rawEpollAdd(l.epoll, int(p.fd), events&0xffffffff); errno != 0 {
			l.cfg.Log.Warn().Err(errno).Msg("connection dropped")
			l.cfg.Row.Drops.Add(1)
			l.close(p)
			return
		}
		p.watched = true
	}
	l.arm(p)
}

// later queues a peer that can continue without an event.
func (l *Loop) later(p *peer) {
	if l.to.fd > 0 && l.handOver(p) {
		return
	}
	if !p.turn.linked() {
		l.ready.push(&p.turn)
	}
	l.arm(p)
}

// receive calls recv once. It returns false if the peer has ended.
func (l *Loop) receive(p *peer) bool {
	l.cfg.Records.Receiving(int(p.fd), l.received(p))
	rescue.Point(rescue.PointReceive)
	n, errno := rawRead(int(p.fd), l.recv)
	rescue.Point(rescue.PointReceived)
	switch {
	case errno == unix.EINTR:
		return true
	case errno == unix.EAGAIN:
		p.readable = false
		return true
	case errno != 0 || n == 0:
		l.close(p)
		return false
	}
	// Fewer bytes than asked for: the socket is empty, and the next ones will
	// be an event. Only the end has perhaps been told already.
	if n < len(l.recv) && !p.hungUp {
		p.readable = false
	}
	if p.step == conn.Linger {
		return true
	}
	p.log.Bytes(n)
	p.conn.Receive(l.recv[:n], l.now)
	alive := l.advance(p)
	if alive {
		p.conn.Hold()
		l.holding(p, n)
	}
	return alive
}

// advance asks the connection what to send, collects it with the small bodies
// in one buffer, and sends that. It returns false if the peer has ended.
func (l *Loop) advance(p *peer) bool {
	rescue.Fault(p.conn.Unused())
	at, begun := l.position(p), p.conn.Segment().Len > 0
	out, step := l.next(p, l.out[:0])
	for step == conn.Send && p.conn.Segment().Len <= serve.InlineMax && len(out) < cap(out)-serve.InlineMax && !l.disk.await(p, serve.InlineMax) {
		var ok bool
		if out, ok = serve.Inline(&p.conn, out, l.now); !ok {
			step = conn.Close
			break
		}
		if begun {
			// The record names the file, which is closed next, and whose descriptor
			// number may become that of the next one.
			begun = false
			l.commit(p, out, at)
		}
		out, step = l.next(p, out)
	}
	p.step = step
	if step != conn.Send {
		p.fetched = nil
	}
	l.commit(p, out, at)
	if len(out) == 0 {
		l.tally.Settle()
		return l.ended(p)
	}
	flags := 0
	if step == conn.Send || step == conn.Close {
		// The body follows at once; or the end, which then travels in the
		// same segment (tcp_send_fin sets FIN on what is still unsent).
		flags = unix.MSG_MORE
	}
	rescue.Point(rescue.PointSend)
	n, errno := rawSend(int(p.fd), out, flags)
	rescue.Point(rescue.PointSent)
	l.tally.Sent(n)
	if errno != 0 {
		if n = 0; errno != unix.EAGAIN && errno != unix.EINTR {
			l.tally.Lose()
			l.close(p)
			return false
		}
	}
	if n < len(out) {
		if whole := l.tally.Undelivered(); whole != nil {
			p.undelivered = &undelivered{whole}
		}
		p.writable = errno == unix.EINTR
		p.unsent = append(p.unsent[:0], out[n:]...)
		l.cfg.Records.Unsent(int(p.fd), n, p.unsent)
		p.placed = l.cfg.Records != nil
		p.conn.Unsent(len(p.unsent), l.now)
		return true
	}
	l.tally.Settle()
	return l.ended(p)
}

// next asks the connection what to send. A full buffer must not end between a head
// and a body from memory, which no other process could send.
func (l *Loop) next(p *peer, out []byte) ([]byte, conn.Step) {
	out, step := p.conn.Next(out, l.now)
	if step == conn.Flush && p.conn.Segment().Len > 0 {
		step = conn.Send
	}
	return out, step
}

// ended takes the step that is possible only when all has been sent. It returns
// false if the peer has ended.
func (l *Loop) ended(p *peer) bool {
	if p.step == conn.Close && !p.readable {
		l.close(p)
		return false
	}
	if p.step == conn.Close {
		// There may be more to receive than the end: closing would reset the
		// reply away.
		p.step = p.conn.Linger(l.now)
	}
	if p.step == conn.Linger {
		rawShutdown(int(p.fd))
	}
	return true
}

// sendUnsent sends what the socket did not take earlier. It returns false if the
// peer has ended.
func (l *Loop) sendUnsent(p *peer) bool {
	n, errno := rawSend(int(p.fd), p.unsent, 0)
	l.tally.Sent(n)
	switch {
	case errno == unix.EINTR:
		return true
	case errno == unix.EAGAIN:
		p.writable = false
		return true
	case errno != 0:
		l.close(p)
		return false
	}
	p.unsent = p.unsent[n:]
	p.conn.Unsent(len(p.unsent), l.now)
	if len(p.unsent) > 0 {
		p.writable = false
		return true
	}
	if p.unsent = nil; p.undelivered != nil {
		l.tally.Took(p.undelivered.began)
		p.undelivered = nil
	}
	return l.ended(p)
}
