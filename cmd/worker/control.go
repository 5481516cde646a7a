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
	"phalanx/internal/supervise"
)

// control turns what the master says, by message, by signal or by its death,
// into two channels that are closed.
type control struct {
	channel *ipc.Channel
	refuse  func() error // lets the listening socket begin no other connection
	signals chan os.Signal
	granted chan struct{} // the master lets requests be taken
	drain   chan struct{} // it is time to end
	once    sync.Once     // closes drain
	readers sync.WaitGroup
}

func newControl(channel *ipc.Channel) *control {
	c := &control{
		channel: channel,
		refuse:  func() error { return listen.RefuseNew(supervise.ListenFD) },
		signals: make(chan os.Signal, 1), // they all say the same
		granted: make(chan struct{}),
		drain:   make(chan struct{}),
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
		c.begin(c.announce)
	}
}

// receive ends with the channel: then the master is gone, and nobody would
// ever tell this worker to drain.
func (c *control) receive() {
	grant := sync.OnceFunc(func() { close(c.granted) })
	for {
		m, err := c.channel.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // by stop
			return
		case err == io.EOF:
			c.begin(c.bequeath)
			return
		case err != nil:
			c.begin(c.announce)
			return
		}
		if _, ok := m.(ipc.Serve); ok {
			grant()
		}
	}
}

// begin begins to drain, if that has not begun for another reason, after
// what this one asks for: until then the listening socket is certainly open.
func (c *control) begin(first func()) {
	c.once.Do(func() {
		first()
		close(c.drain)
	})
}

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
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
