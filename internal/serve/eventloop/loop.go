// Package eventloop is the engine with one goroutine and one epoll instance for all connections.
// It can hand connections over to another worker, and record them so that they survive its own
// death; see docs/design.md, "The two engines".
package eventloop

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/serve"
	"phalanx/internal/site"
)

// Loop serves the connections of a worker's listening sockets with one goroutine, around
// one epoll instance. Each turn it waits for events, handles them (receives, makes
// responses, sends), gives every connection that is ready to send a bounded share of
// the turn, closes those that have timed out, and writes the log.
//
// While there is traffic its system calls, the waiting included, are raw, so
// that Go's scheduler has no part in serving. [Loop.wait] explains how the runtime
// still runs.
type Loop struct {
	cfg   serve.Config
	clock serve.Clock
	now   conn.Now // the time of this turn
	tally serve.Tally

	epoll     int
	listeners []listener // empty when the loop no longer accepts
	first     int        // index of the listener that accepts first in this turn, modulo their number
	wake      int        // eventfd by which other goroutines wake the loop
	events    []unix.EpollEvent
	recv      []byte // received bytes, borrowed by one peer at a time
	out       []byte // bytes to send, likewise

	tls       *secure // nil until a client uses TLS
	disk      disk
	woke      mailbox[*waker]
	http2     *h2.Config // nil until a client uses HTTP/2
	peers     []*peer    // open connections, by descriptor
	open      int        // number of open connections
	free      []*peer    // memory of closed peers, for reuse
	ready     list       // peers that can continue without an event
	throttled list       // peers at the rate limit; the next to continue is first
	timers    [timerHandshake + 1]list
	resume    time.Duration // when accepting continues after a pause; 0: not paused
	warned    time.Duration // when a lack of descriptors was last logged
	closeAt   time.Duration // when the listening sockets are closed; 0: not yet known

	orders   *serve.Orders
	to       handover          // channel to the worker that takes over
	from     []int             // channels from workers that hand over
	begun    map[fileID]*begun // files of connections that were taken over
	takeAt   time.Duration     // when taking over continues after a pause; 0: not paused
	inbox    []byte            // buffer for a state received on a channel in from
	state    []byte            // buffer for a frozen state
	beatAt   time.Duration     // when serve.Config.Beat is due
	reportAt time.Duration     // when serve.Config.Report is due; 0: never
	sharedAt time.Duration     // when shared sockets are checked; 0: never
	surveyAt time.Duration     // when all connections are surveyed; 0: not planned
	surveyed time.Duration     // time of the last survey
	dropped  bool              // a connection has ended since the last turn

	collecting sync.WaitGroup // garbage collections that the loop asked for

	how       serve.Drain   // how the loop drains, if draining
	drainedAt time.Duration // when the drain began
	quietFor  time.Duration // see serve.Drain.Quiet
	quietMax  time.Duration
	limits    *serve.Limits
	names     bool                // see serve.Config.NamesClients
	unix      clientip.Addr       // address of all clients of unix sockets
	address   unix.RawSockaddrAny // buffer for the address of an accepted client, if names
	tickAt    time.Duration       // when serve.Config.Tick is due; 0: never
	activeAt  time.Duration       // when there last was an event or a peer to continue
	flushAt   time.Duration       // when the log is written again, whose reader did not take all of it; 0: it did
	draining  bool                // a drain has been ordered
	told      bool                // the drain has been announced to all connections

	rescued []*peer // connections rescued from a dead worker; Run serves them first
	doomed  []int   // sockets of connections that cannot be rescued; Run closes them
	nascent []*peer // rescued connections without a byte received; TLS begins with the first credentials
}

const (
	eventBatch  = 512       // events handled in a turn
	acceptBatch = 64        // connections accepted from a listening socket in a turn
	readBatch   = 16        // reads from one peer in a turn
	freeMax     = 1024      // closed peers kept for reuse
	quantum     = 256 << 10 // least share of a peer in a turn, in bytes of a file
	turnMax     = 1 << 20   // bytes of files after which a turn ends; the last share may exceed it
	tickEvery   = 5 * time.Second
	rawWait     = 10                     // longest raw wait, in milliseconds
	rawFor      = 100 * time.Millisecond // time without an event after which waits are not raw
)

// New returns an event loop.
func New(cfg serve.Config) (*Loop, error) {
	l := &Loop{
		cfg:    cfg,
		events: make([]unix.EpollEvent, eventBatch),
		recv:   cfg.Records.Receive(),
		out:    cfg.Records.Send(),

		disk: disk{resident: site.Resident, load: load},
	}
	if cfg.Records == nil {
		l.recv, l.out = make([]byte, cfg.Recv), make([]byte, 0, serve.OutSize)
	}
	l.clock.Start(&l.cfg)
	if l.cfg.Row == nil {
		l.cfg.Row = new(scoreboard.Row)
	}
	l.limits, l.names, l.unix = serve.NewLimits(&l.cfg), l.cfg.NamesClients(), clientip.Unix()
	l.tally = serve.Tally{Row: l.cfg.Row, Clock: &l.clock, Alone: true, Sites: cfg.SiteNames != nil, Limits: l.limits}
	l.now = l.clock.Now()
	l.beatAt = l.now.Mono + cfg.BeatEvery
	l.ready.init()
	l.throttled.init()
	for i := range l.timers {
		l.timers[i].init()
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(l.epoll)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return l, nil
}

// Run serves the connections of the listening sockets, which it takes over, and carries out
// orders until it has drained: it accepts what is in the accept queues (see serve.Drain),
// closes the sockets, waits until every connection has ended, and returns.
func (l *Loop) Run(listeners []serve.Listener, orders *serve.Orders) error {
	defer unix.Close(l.epoll)
	defer unix.Close(l.wake)
	l.orders = orders
	defer l.closeListeners()
	defer orders.End()
	for _, from := range listeners {
		l.listeners = append(l.listeners, listener{Listener: from})
	}
	if errno := l.watchAll(); errno != 0 {
		return fmt.Errorf("watch descriptor: %w", errno)
	}
	l.woke.notify(l.wake)
	defer l.woke.notify(0)
	l.disk.start(l.wake)
	defer l.disk.stop()
	defer l.collecting.Wait()
	defer l.endHandovers()
	orders.Start(func() { signal(l.wake) })
	l.survey()
	l.resumeRescued()
	for len(l.listeners) > 0 || l.open > 0 || len(l.from) > 0 {
		if err := l.turn(); err != nil {
			return err
		}
	}
	return nil
}

// signal makes an eventfd readable, which wakes the loop. It does not wait.
func signal(wake int) {
	unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (l *Loop) turn() error {
	n, err := l.wait()
	if err != nil {
		return err
	}
	if l.now = l.clock.Now(); n > 0 || l.busy() {
		l.activeAt = l.now.Mono
	}
	accept, woken, arrived := false, false, false
	for _, e := range l.events[:n] {
		switch fd := int(e.Fd); {
		case fd < len(l.peers) && l.peers[fd] != nil:
			l.event(l.peers[fd], e.Events)
		case fd == l.wake:
			var count [8]byte
			rawRead(fd, count[:])
			woken = true
		case l.listens(fd):
			accept = true
		case slices.Contains(l.from, fd):
			arrived = true
		}
	}
	if woken {
		l.woken()
	}
	if l.to.retryAt != 0 && l.now.Mono >= l.to.retryAt {
		l.handOverAll()
	}
	// New connections come last: otherwise one could get a descriptor that was closed in
	// this turn, and then an event of the old connection.
	if arrived || l.takeAt != 0 && l.now.Mono >= l.takeAt {
		l.takeOverAll()
	}
	if l.checkShared() || accept {
		if err := l.acceptReady(); err != nil {
			return err
		}
	}
	l.continueHandshakes()
	l.unthrottle()
	l.sendReady()
	l.cfg.Records.Serving(-1) // no client is to blame for what follows
	l.expire()
	l.tick(n > 0)
	l.surveyLater(n > 0 || l.dropped)
	l.beat()
	l.report()
	l.flush()
	return nil
}

// woken handles what other goroutines have queued for the loop.
func (l *Loop) woken() {
	l.fetched()
	l.wakeUp()
	for {
		order, ok := l.orders.Take()
		if !ok {
			return
		}
		switch o := order.(type) {
		case serve.Drain:
			l.drain(o)
		case serve.HandOver:
			l.handOverTo(o.FD)
		case serve.TakeOver:
			l.takeOverFrom(o.FD)
		case serve.Credentials:
			l.credentials(o)
		case serve.Share:
			l.limits.Share(o.Slots)
			l.makeRoom(nil)
		case serve.Confirm:
			o()
		case serve.List:
			o.Reply <- l.seen()
		}
	}
}

// wait waits for events, with a raw call while there is traffic. A thread in a raw call
// keeps its P of Go's runtime, so a garbage collection would have to wait for it. That is
// why raw waits are short. The runtime preempts with a signal, which ends the call, and
// the loop yields. If it were locked to its thread, each yield would make another thread take
// the P and hand it back, and both would wait for a CPU. If no event has arrived for rawFor,
// the loop waits with the ordinary call, which releases the P. After such a call the runtime's
// monitor wakes about sixty times within a few milliseconds, so it is not worth its cost
// earlier.
func (l *Loop) wait() (int, error) {
	l.cfg.Records.Serving(-1)
	l.tally.Rest()
	ms := l.timeout()
	var n int
	var err error
	if l.now.Mono-l.activeAt >= rawFor {
		n, err = unix.EpollWait(l.epoll, l.events, ms)
	} else {
		var errno syscall.Errno
		short := ms
		if short < 0 || short > rawWait {
			short = rawWait
		}
		if n, errno = rawEpollWait(l.epoll, l.events, short); errno != 0 {
			n, err = 0, errno
		}
	}
	if err == unix.EINTR {
		runtime.Gosched()
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("wait for events: %w", err)
	}
	return n, nil
}

// timeout returns the milliseconds until the loop has something to do without an
// event; -1: never.
func (l *Loop) timeout() int {
	if l.busy() {
		return 0
	}
	next := l.resume
	if next == 0 {
		next = l.closeAt
	}
	for _, at := range [...]time.Duration{l.tickAt, l.surveyAt, l.to.retryAt, l.takeAt, l.reportAt, l.sharedAt, l.flushAt} {
		next = sooner(next, at)
	}
	for i := range l.timers {
		if p := l.timers[i].front(); p != nil {
			next = sooner(next, p.armed)
		}
	}
	if p := l.throttled.front(); p != nil {
		next = sooner(next, p.aside.bucket.Again())
	}
	if l.cfg.Beat != nil {
		next = sooner(next, l.beatAt)
	}
	if next == 0 {
		return -1
	}
	left := next - l.clock.Mono()
	return int(max(0, (left+time.Millisecond-1)/time.Millisecond))
}

// busy reports whether a peer can continue without an event.
func (l *Loop) busy() bool {
	return l.ready.front() != nil || l.tls != nil && l.tls.handshaking.front() != nil
}

// sooner returns the earlier of two times; 0 means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
