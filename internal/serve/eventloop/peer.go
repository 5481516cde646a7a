package eventloop

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
)

// peer is a connection in an event loop.
type peer struct {
	http1 conn.Conn // see peer.http
	fd    int32
	step  conn.Step  // what conn wants as soon as unsent has been sent
	kind  conn.Timer // in which list of timers it is

	watched  bool   // by epoll
	readable bool   // there may be something to receive
	writable bool   // the socket may take more
	hungUp   bool   // the client has ended its side: an EOF follows what is received
	fetching bool   // it waits for the disk, or for what is made beside the loop
	gone     bool   // it ended while it waited; its memory is not free yet
	more     bool   // what was received is not used yet, by tls or for header
	large    bool   // its state is in that place too
	header   header // of the PROXY protocol, that has to come first
	placed   bool   // some of its bytes are in a place of its own, see serve.Config.Records
	queued   int32
	counted  serve.Counted // 0: not counted
	tls      *tlsconn.Conn // nil: the client speaks plain HTTP
	aside    *aside        // nil at most times

	timer  link           // in the list of its kind
	turn   link           // in the queue of those that need no event to continue
	armed  time.Duration  // the deadline for which it was put into its list
	unsent []byte         // bytes of responses that the socket did not take
	log    *serve.Journal // nil: nothing is logged
}

// aside has what few peers have.
type aside struct {
	undelivered []time.Duration // start times of requests whose responses are whole but not sent yet
	bucket      serve.Bucket    // unless any rate is allowed
	throttled   bool            // it has sent as much as it may for now
	http2       http2           // zero: the client speaks HTTP/1.1
	fetched     fetched
	header      []byte // what has come of the header that has to come first
}

// beside returns it, to be changed.
func (p *peer) beside() *aside {
	if p.aside == nil {
		p.aside = &aside{}
	}
	return p.aside
}

// undelivered returns the start times of requests whose responses were whole but not
// sent yet, and forgets them; nil: there are none.
func (p *peer) undelivered() (began []time.Duration) {
	if p.aside != nil {
		began, p.aside.undelivered = p.aside.undelivered, nil
	}
	return began
}

// newPeer returns the peer of a connection that was accepted from a listening socket.
func (l *Loop) newPeer(fd int, client *clientip.Addr, from serve.Listener) *peer {
	rescue.Point(rescue.PointAccepted)
	p := l.register(fd, client)
	l.cfg.Records.Opened(fd)
	l.cfg.Row.Accepted.Add(1)
	p.log.Opened()
	switch {
	case client != nil && l.cfg.Proxied.Contains(*client):
		p.expect(from.Secure)
	case from.Secure:
		l.encrypt(p)
	}
	l.begin(p)
	if from.Shared {
		p.http1.Local()
	}
	return p
}

// begin begins HTTP.
func (l *Loop) begin(p *peer) {
	client := p.http1.Client()
	p.http1 = conn.New(&l.cfg.Conn, p.log.Observer(&l.tally), l.now)
	p.http1.From(client)
	if p.tls != nil {
		p.http1.Secure()
	}
	if l.told {
		p.http().Drain(l.now)
	}
}

// register makes a place for a connection that has no state yet. client is nil if nobody
// asks for it.
func (l *Loop) register(fd int, client *clientip.Addr) *peer {
	var p *peer
	if n := len(l.free); n > 0 {
		p, l.free = l.free[n-1], l.free[:n-1]
	} else {
		p = &peer{}
	}
	*p = peer{fd: int32(fd), readable: true, writable: true}
	p.timer.peer, p.turn.peer = p, p
	if l.cfg.Rate.Limited() {
		p.beside().bucket = l.cfg.Rate.Bucket(l.now.Mono)
	}
	p.http1.From(client)
	p.log = serve.NewJournal(&l.cfg, &l.tally, client, int(p.fd))
	for fd >= len(l.peers) {
		l.peers = append(l.peers, make([]*peer, max(64, len(l.peers)))...)
	}
	l.peers[fd] = p
	l.open++
	return p
}

func (l *Loop) close(p *peer) {
	l.cfg.Records.Closing(int(p.fd))
	p.http().Abort(serve.ErrLost)
	if p.tls != nil {
		l.sent(p)
		l.endTLS(p)
	}
	p.log.Closed()
	l.drop(p)
}

// drop closes the socket and forgets the peer.
func (l *Loop) drop(p *peer) {
	l.cfg.Row.Truncated.Add(uint64(len(p.undelivered())))
	l.endHTTP2(p)
	l.dropped = true
	p.timer.remove()
	p.turn.remove()
	l.forget(p)
	l.limits.Leave(p.counted)
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
		if p.step == conn.Await {
			p.step = conn.Flush
		}
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
			switch {
			case !p.readable && !p.more:
				l.park(p)
				return
			case p.shaking():
				l.shakeLater(p)
				return
			case p.step == conn.Read && l.dry(p):
				l.throttle(p)
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
		case conn.Await:
			l.await(p)
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
	if l.watch(p) {
		l.arm(p)
	}
}

// watch has epoll report a peer's events. It returns false if the peer has ended.
func (l *Loop) watch(p *peer) bool {
	if p.watched {
		return true
	}
	if errno := rawEpoll(l.epoll, unix.EPOLL_CTL_ADD, int(p.fd), peerEvents); errno != 0 {
		l.unwatchable(p, errno)
		return false
	}
	p.watched = true
	return true
}

// peerEvents are those of a peer.
const peerEvents = (unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET) & 0xffffffff

// unwatchable ends a peer that epoll does not take.
func (l *Loop) unwatchable(p *peer, errno syscall.Errno) {
	l.cfg.Log.Warn().Err(errno).Msg("connection dropped")
	l.cfg.Row.Dropped.Add(1)
	l.close(p)
}

// later queues a peer that can continue without an event. One that speaks HTTP/2 may have
// to take an event nevertheless; see peer.interrupted.
func (l *Loop) later(p *peer) {
	if l.to.fd > 0 && l.handOver(p) {
		return
	}
	if p.speaksHTTP2() && !l.watch(p) {
		return
	}
	if !p.turn.linked() {
		l.ready.push(&p.turn)
	}
	l.arm(p)
}

// receive calls recv once, unless a client's TLS has more without. It returns false if
// the peer has ended.
func (l *Loop) receive(p *peer) bool {
	if p.more && p.step != conn.Linger {
		if p.header != headerNone {
			p.more = false
			return l.take(p, nil)
		}
		return l.decrypt(p)
	}
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
	case errno == 0 && n == 0 && (p.step == conn.Send || p.step == conn.Flush):
		p.hungUp = true // the end is received again when all has been sent
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
	return l.take(p, l.recv[:n])
}

// take gives a peer what its client has sent. It returns false if the peer has ended.
func (l *Loop) take(p *peer, got []byte) bool {
	if p.header != headerNone {
		var alive bool
		if got, alive = l.introduce(p, got); len(got) == 0 {
			return alive
		}
	}
	if p.tls != nil {
		p.tls.Receive(got)
		l.tls.got = len(got)
		return l.decrypt(p)
	}
	p.http().Receive(got, l.now)
	alive := l.advance(p)
	if alive {
		p.http().Hold()
		l.holding(p, got)
	}
	return alive
}
