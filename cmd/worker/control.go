package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// control turns what the master says, by message, by signal or by its death,
// into two channels that are closed.
type control struct {
	channel *ipc.Channel
	signals chan os.Signal
	granted chan struct{} // the master lets requests be taken
	drain   chan struct{} // it is time to end
	begin   func()        // closes drain, once
	readers sync.WaitGroup
}

func newControl(channel *ipc.Channel) *control {
	c := &control{
		channel: channel,
		signals: make(chan os.Signal, 1), // they all say the same
		granted: make(chan struct{}),
		drain:   make(chan struct{}),
	}
	c.begin = sync.OnceFunc(func() { close(c.drain) })
	signal.Notify(c.signals, syscall.SIGINT, syscall.SIGTERM)
	c.readers.Go(c.listen)
	c.readers.Go(c.receive)
	return c
}

func (c *control) listen() {
	for range c.signals {
		c.begin()
	}
}

// receive ends with the channel: then the master is gone, and nobody would
// ever tell this worker to drain.
func (c *control) receive() {
	defer c.begin()
	grant := sync.OnceFunc(func() { close(c.granted) })
	for {
		m, err := c.channel.Receive()
		if err != nil {
			return
		}
		if _, ok := m.(ipc.Serve); ok {
			grant()
		}
	}
}

// stop ends both readers; the channel stays open, since its end tells the
// master that this process is gone.
func (c *control) stop() {
	signal.Stop(c.signals)
	close(c.signals)
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
