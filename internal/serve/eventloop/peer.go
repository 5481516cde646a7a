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
	step  conn.Step  // what to do once unsent has been sent
	kind  conn.Timer // its current list of timers

	watched  bool   // registered with epoll
	readable bool   // there may be something to receive
	writable bool   // the socket may accept more
	hungUp   bool   // the client has closed its side: an EOF follows the received bytes
	fetching bool   // it waits for the disk, or for a response that another goroutine makes
	gone     bool   // it ended while it waited; its memory is still in use
	more     bool   // tls or the PROXY header has received bytes that are not used yet
	large    bool   // its state is in the area too, because the record is too small for it
	header   header // PROXY header that must come first
	placed   bool   // its own area of serve.Config.Records is in use
	queue    serve.Queue
	counted  bool          // among the connections of its client
	tls      *tlsconn.Conn // nil: no TLS
	aside    *aside        // usually nil

	timer  link           // in the list of kind
	turn   link           // in the queue of peers that can continue without an event
	armed  time.Duration  // deadline when it was put into the list of kind
	unsent []byte         // bytes of responses that the socket did not accept
	log    *serve.Journal // nil: nothing is logged
}

// aside has the fields that few peers need.
type aside struct {
	undelivered []time.Duration // start times of requests whose responses are complete but not sent yet
	bucket      serve.Bucket    // used if there is a rate limit
	throttled   bool            // it waits because of the rate limit
	http2       http2           // zero: the client speaks HTTP/1.1
	fetched     fetched
	header      []byte // received part of an incomplete PROXY header
}

// beside returns the peer's aside, and allocates it if there is none.
func (p *peer) beside() *aside {
	if p.aside == nil {
		p.aside = &aside{}
	}
	return p.aside
}

// undelivered returns the start times of requests whose responses are complete but not
// sent yet, and forgets them; nil if there are none.
func (p *peer) undelivered() (began []time.Duration) {
	if p.aside != nil {
		began, p.aside.undelivered = p.aside.undelivered, nil
	}
	return began
}

// newPeer returns the peer of a connection that was just accepted.
func (l *Loop) newPeer(fd int, client *clientip.Addr, from serve.Listener) *peer {
	rescue.Point("accepted")
	p := l.register(fd, client)
	l.cfg.Row.Accepted.Add(1)
	l.cfg.Records.Opened(fd)
	p.log.Event("connection opened")
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

// register makes a peer without state for a connection. client is nil if no feature needs
// the client's address.
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
	p.log.Event("connection closed")
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
	if p.counted {
		l.limits.Leave(p.http1.Client())
	}
	l.peers[p.fd] = nil
	l.open--
	if p.gone = true; !p.fetching {
		l.reuse(p)
	}
}

// reuse keeps the memory of a peer that nothing refers to any more.
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
		return // it will be served in any case
	}
	l.serve(p)
}

// fetched continues the peers whose bytes have been read from the disk. If the disk could not
// read them, trying again would take the loop just as long.
func (l *Loop) fetched() {
	for _, d := range l.disk.done.take() {
		p := d.peer
		p.fetching = false
		p.log.Fetch(false)
		if p.step == conn.Await {
			p.step = conn.Flush
		}
		switch {
		case p.gone:
			l.reuse(p)
		case d.errno != 0:
			l.lost(p, d.errno)
		default:
			l.later(p)
		}
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
			case p.handshaking():
				l.queueHandshake(p)
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
			if p.fetching {
				l.arm(p)
			} else {
				l.later(p) // peers that need less are served first
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

// park makes a peer wait for an event. It is registered once, edge-triggered, for all
// events: a connection costs one epoll_ctl, and one that is closed before it ever waits
// costs none.
func (l *Loop) park(p *peer) {
	if l.to.fd > 0 && l.handOver(p) {
		return
	}
	if l.watch(p) {
		l.arm(p)
	}
}

// watch registers a peer with epoll. It returns false if the peer has ended.
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

// peerEvents are the events that a peer waits for.
const peerEvents = (unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET) & 0xffffffff

// unwatchable ends a peer that epoll refuses.
func (l *Loop) unwatchable(p *peer, errno syscall.Errno) {
	l.cfg.Log.Warn().Err(errno).Msg("connection dropped")
	l.cfg.Row.Dropped.Add(1)
	l.close(p)
}

// later queues a peer that can continue without an event. With HTTP/2 it may have to handle
// an event nevertheless; see peer.interrupted.
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

// receive calls recv once, unless TLS still has received bytes. It returns false if the
// peer has ended.
func (l *Loop) receive(p *peer) bool {
	if p.more && p.step != conn.Linger {
		if p.header != headerNone {
			p.more = false
			return l.take(p, nil)
		}
		return l.decrypt(p)
	}
	l.cfg.Records.Receiving(int(p.fd), l.received(p))
	rescue.Point("receive")
	n, errno := rawRead(int(p.fd), l.recv)
	rescue.Point("received")
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
	// Fewer bytes than requested: the socket is empty, and more bytes will cause an
	// event. But the event of the end of the stream may have come already.
	if n < len(l.recv) && !p.hungUp {
		p.readable = false
	}
	if p.step == conn.Linger {
		return true
	}
	p.log.Bytes(n)
	return l.take(p, l.recv[:n])
}

// take passes received bytes to a peer. It returns false if the peer has ended.
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
