package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/listen"
	"phalanx/internal/serve"
	"phalanx/internal/supervise"
)

// control turns what the master says, by message, by signal or by its death,
// into channels.
type control struct {
	channel  *ipc.Channel
	refuse   func() error // lets the listening socket begin no other connection
	refusing func() bool  // reports whether it does not
	signals  chan os.Signal
	granted  chan struct{} // the master lets requests be taken
	drain    chan struct{} // it is time to end
	stopped  chan struct{} // nobody looks any more
	once     sync.Once     // closes drain
	ending   sync.Once     // closes finish
	leaving  serve.Leaving // how; written before drain is closed
	finish   chan struct{} // what was to be given away is to end
	legacies chan int      // bequests on which other workers' connections come
	heirs    chan int      // and on which this one's go
	readers  sync.WaitGroup
}

func newControl(channel *ipc.Channel) *control {
	c := &control{
		channel:  channel,
		refuse:   func() error { return listen.RefuseNew(supervise.ListenFD) },
		refusing: func() bool { return listen.Refusing(supervise.ListenFD) },
		signals:  make(chan os.Signal, 1), // they all say the same
		granted:  make(chan struct{}),
		drain:    make(chan struct{}),
		stopped:  make(chan struct{}),
		finish:   make(chan struct{}),
		legacies: make(chan int),
		heirs:    make(chan int),
	}
	signal.Notify(c.signals, syscall.SIGINT, syscall.SIGTERM)
	c.start()
	return c
}

func (c *control) start() {
	c.readers.Go(c.listen)
	c.readers.Go(c.receive)
}

func (c *control) listen() {
	for range c.signals {
		// The master's own signal comes when it has made the socket refuse
		// connections: then nobody takes it over.
		if !c.begin(func() { c.announce(); c.leaving.Kept = !c.refusing() }) {
			c.end()
		}
	}
}

// receive ends with the channel: then the master is gone, and nobody would
// ever tell this worker to drain.
func (c *control) receive() {
	grant := sync.OnceFunc(func() { close(c.granted) })
	for {
		m, fd, err := c.channel.ReceiveFile()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // by stop
			return
		case err == io.EOF:
			if !c.begin(c.bequeath) {
				c.end()
			}
			return
		case err != nil:
			c.begin(func() { c.announce(); c.leaving.Kept = true })
			return
		}
		switch m := m.(type) {
		case ipc.Serve:
			grant()
		case ipc.Adopt:
			c.pass(c.legacies, fd)
			continue
		case ipc.Retire:
			c.begin(func() { c.leaving = serve.Leaving{Kept: !m.Queue, Steered: m.Queue, Giving: fd >= 0} })
			c.pass(c.heirs, fd)
			continue
		}
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}

// pass hands a bequest to the loop, unless that has ended.
func (c *control) pass(to chan<- int, fd int) {
	if fd < 0 {
		return
	}
	select {
	case to <- fd:
	case <-c.stopped:
		syscall.Close(fd)
	}
}

// begin begins to drain, if that has not begun for another reason, after
// what this one asks for: until then the listening socket is certainly open. It
// returns false if it had begun.
func (c *control) begin(first func()) (begun bool) {
	c.once.Do(func() {
		first()
		close(c.drain)
		begun = true
	})
	return begun
}

// report tells the master what is left to do. If it cannot be told now, it is
// told a second later.
func (c *control) report(connections int, bytes int64) {
	_ = c.channel.Send(ipc.Left{Connections: connections, Bytes: bytes})
}

// end is for when nobody will come to take what is being given away.
func (c *control) end() { c.ending.Do(func() { close(c.finish) }) }

// announce tells the master that this worker drains, so that another takes
// its slot. If the signal was the master's own, it knows. If it cannot be
// told, it is gone or about to end this worker, and needs no news of it.
func (c *control) announce() {
	_ = c.channel.Send(ipc.Draining{})
}

// bequeath is for when there will be no other worker to take the listening
// socket over: what would come too late for this one is not let in. If that
// cannot be had, a client may be reset.
func (c *control) bequeath() {
	_ = c.refuse()
}

// stop ends both readers; the channel stays open, since its end tells the
// master that this process is gone. A signal that comes now asks for what is
// done already, and must not make a death of a clean end.
func (c *control) stop() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	signal.Stop(c.signals)
	close(c.signals)
	close(c.stopped)
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
