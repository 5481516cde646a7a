package eventloop

import (
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// sendReady serves the peers in the ready queue in order, each for one share, until all
// have had one or the turn's budget is used up.
func (l *Loop) sendReady() {
	last := l.ready.root.prev.peer
	for budget := int64(turnMax); budget > 0; {
		p := l.ready.front()
		if p == nil {
			return
		}
		p.turn.remove()
		budget -= l.share(p, l.portion(p, budget))
		if p == last {
			return
		}
	}
}

// share serves a peer for one share of the turn, limited to most bytes of a file, and
// returns its cost in bytes.
func (l *Loop) share(p *peer, most int64) int64 {
	l.cfg.Records.Serving(int(p.fd))
	const least = 4 << 10
	if len(p.unsent) > 0 || p.step != conn.Send && p.step != conn.Flush {
		l.serve(p)
		return least
	}
	quota := l.quota(p)
	if quota == 0 {
		l.throttle(p)
		return 0
	}
	if p.step == conn.Flush || inline(p.http().Segment(), quota) {
		if l.goOn(p) {
			p.http().Hold()
			l.serve(p)
		}
		return serve.OutSize
	}
	if !p.writable {
		l.park(p)
		return 0
	}
	if l.disk.await(p, most, l.now.Mono) {
		l.arm(p)
		return least
	}
	if p.tls != nil {
		return l.sendSealed(p, most)
	}
	seg := p.http().Segment()
	asked := min(seg.Len, most, quota)
	n, errno := rawSendfile(int(p.fd), seg.File.Fd(), seg.Off, asked)
	switch {
	case errno == unix.EINTR:
		l.later(p)
		return least
	case errno == unix.EAGAIN:
		p.writable = false
		l.park(p)
		return least
	case errno != 0 || n == 0:
		l.lost(p, errno)
		return least
	}
	rescue.Point("file")
	l.tally.Sent(n)
	l.charge(p, n)
	p.http().Sent(int64(n), l.now)
	if int64(n) < asked {
		l.waitForRoom(p)
	} else if p.http().Segment().Len > 0 {
		l.later(p)
	} else if l.goOn(p) {
		p.http().Hold()
		l.serve(p)
	}
	return int64(n)
}

// waitForRoom makes a peer wait after a partial send. Either the send buffer is full, or a signal
// interrupted the call: then epoll reports the socket writable at once.
func (l *Loop) waitForRoom(p *peer) {
	p.writable = false
	if p.watched {
		if errno := rawEpoll(l.epoll, unix.EPOLL_CTL_MOD, int(p.fd), peerEvents); errno != 0 {
			l.unwatchable(p, errno)
			return
		}
	}
	l.park(p)
}

// portion returns how many bytes of a file a peer may send at once: the rest of the turn's
// budget. A peer that has never waited gets less while others wait: its socket is empty and
// would accept a lot, and the others may be new too, without a byte sent.
func (l *Loop) portion(p *peer, budget int64) int64 {
	if !p.watched && l.busy() {
		return quantum
	}
	return max(quantum, budget)
}

// lost ends a peer whose file or client is gone.
func (l *Loop) lost(p *peer, errno syscall.Errno) {
	cause := serve.ErrShorter
	if errno != 0 {
		cause = errno
	}
	l.cfg.Records.Closing(int(p.fd)) // before its file is closed
	p.http().Abort(cause)
	l.close(p)
}

// await makes a peer wait for a response that another goroutine makes.
func (l *Loop) await(p *peer) {
	if p.fetching {
		return
	}
	p.fetching = true
	p.log.Fetch(true)
	if p.http().Await(func() { l.disk.done.put(done{p, 0}) }) {
		l.arm(p)
		return
	}
	p.fetching = false
	p.log.Fetch(false)
	p.step = conn.Flush // there is more already
	l.later(p)
}
