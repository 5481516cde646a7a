// Package control is the worker's half of the control channel. A [Control]
// translates the master's messages, signals and death into orders for the engine,
// in the sequence of their arrival and in one place. Heartbeats and requests to be
// recycled, both from a [Watcher], and the progress of a drain go the other way.
// It registers no signal and opens no socket: the caller passes them in.
package control

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
)

// Config is what a Control needs beside the channel. All but Refuse and Use is
// required.
type Config struct {
	Signals <-chan os.Signal // each asks for a drain
	// Refuse makes the listening socket refuse new connections; nil: another process
	// keeps the socket and its accept queue for the next server.
	Refuse   func() error
	Refusing func() bool // reports whether the socket refuses them already
	// Use makes the master's credentials an order for the engine; nil: the worker has
	// no secure listener, and needs none.
	Use func(*certificate.Bundle) (serve.Order, error)
}

// Control has two readers, of the channel and of the signals, which run until
// [Control.Stop].
type Control struct {
	Config
	channel *ipc.Channel
	orders  serve.Orders
	granted chan struct{} // closed when the master has allowed requests
	drained chan struct{} // closed when a drain has been ordered
	stopped chan struct{} // closed by Stop
	readers sync.WaitGroup

	credited chan struct{} // closed when the first credentials have come
	refused  error         // why those cannot be used; written before

	// mu is held while one event is translated, so that the orders are queued in
	// the order of the events.
	mu       sync.Mutex
	rescue   func(channel int, blame ipc.Blame) (ipc.Rescued, error)
	rescued  bool // connections of a dead worker were taken over
	allowed  bool // granted is closed
	draining bool // a drain has been ordered
	last     bool // and no worker will take anything over
	ended    bool // no more messages are received

	certified bool // credited is closed
}

// New begins to listen to the master. The channel stays the caller's.
func New(channel *ipc.Channel, cfg Config) *Control {
	c := &Control{Config: cfg, channel: channel, granted: make(chan struct{}), drained: make(chan struct{}), stopped: make(chan struct{}), credited: make(chan struct{})}
	c.readers.Go(c.listen)
	c.readers.Go(c.receive)
	return c
}

// Await waits until requests may be taken, and reports false if the worker has to
// exit without having served.
func (c *Control) Await() bool {
	select {
	case <-c.granted:
		return true
	case <-c.drained:
	}
	for {
		if serves, certain := c.decide(); certain {
			return serves
		}
		select {
		case <-c.granted:
		case <-time.After(time.Millisecond):
		}
	}
}

// decide reports whether a worker that has to drain serves before, once that is certain. What the master
// sent before its signal may not have been handled yet, and a worker that has taken connections over
// waits until the master lets it serve them, or can say nothing any more. A worker that does not serve
// takes no connections over.
func (c *Control) decide() (serves, certain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.allowed || c.rescued && c.ended:
		return true, true
	case !c.ended && (c.rescued || c.channel.Pending()):
		return false, false
	}
	c.rescue = nil
	return false, true
}

// Orders returns the queue for the engine, which has to end it.
func (c *Control) Orders() *serve.Orders { return &c.orders }

func (c *Control) listen() {
	for {
		select {
		case _, open := <-c.Signals:
			if !open {
				return
			}
			c.signalled()
		case <-c.stopped:
			return
		}
	}
}

// receive ends with the channel.
func (c *Control) receive() {
	for {
		m, fd, err := c.channel.ReceiveFile()
		if errors.Is(err, os.ErrDeadlineExceeded) { // by Stop
			return
		}
		if _, list := m.(ipc.Show); list && errors.Is(err, syscall.EMFILE) {
			continue // out of descriptors it serves on, and the request for the list times out
		}
		if err != nil {
			c.lost(err)
			return
		}
		c.told(m, fd)
	}
}

// told translates a message; fd is the descriptor that came with it, or -1.
func (c *Control) told(m ipc.Message, fd int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := m.(type) {
	case ipc.Serve:
		if !c.allowed {
			c.allowed = true
			close(c.granted)
		}
	case ipc.Drain:
		if !c.draining {
			c.drain(serve.Drain{Kept: !m.Queue, Steered: m.Queue, HandOver: fd >= 0})
		}
		if fd >= 0 {
			c.orders.Put(serve.HandOver{FD: fd})
			return
		}
	case ipc.TakeOver:
		if fd >= 0 {
			c.orders.Put(serve.TakeOver{FD: fd})
			return
		}
	case ipc.Share:
		c.orders.Put(serve.Share{Slots: int(m.Slots)})
	case ipc.Credentials:
		if fd >= 0 && c.Use != nil {
			c.credentials(fd, m.ID)
		}
	case ipc.Rescue:
		if fd >= 0 && c.rescue != nil && !c.allowed {
			c.rescueFrom(fd, m.Blame)
			return
		}
	case ipc.Show:
		if fd >= 0 {
			list := make(chan []serve.Seen, 1)
			c.orders.Put(serve.List{Reply: list})
			c.readers.Go(func() { c.show(m.ID, fd, list) })
			return
		}
	}
	if fd >= 0 {
		syscall.Close(fd)
	}
}

// OnRescue sets the function that takes over the connections from a rescue channel,
// and closes the channel. It has to be set before the worker sends Ready.
func (c *Control) OnRescue(rescue func(channel int, blame ipc.Blame) (ipc.Rescued, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rescue = rescue
}

// rescueFrom takes over a dead worker's connections. If that fails, the master is told
// and keeps them for another worker.
func (c *Control) rescueFrom(fd int, blame ipc.Blame) {
	rescued, err := c.rescue(fd, blame)
	if err != nil {
		_ = c.channel.Send(ipc.Failed{ExitCode: exitcode.Failure, Reason: err.Error()})
		c.drain(serve.Drain{Kept: true})
		return
	}
	c.rescued = true
	_ = c.channel.Send(rescued)
}

// signalled translates a signal. The master sends one after it has made the listening
// socket refuse connections: then no worker takes the socket over.
func (c *Control) signalled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		c.drain(serve.Drain{})
		return
	}
	kept := !c.Refusing()
	c.announce(kept)
	c.drain(serve.Drain{Kept: kept})
}

// lost translates the end of the channel: the worker drains, because no master could
// ever order it. No other worker will take over the listening socket, so it has to
// refuse new connections; if that fails, a client may be reset. A master that sends
// an invalid message is not gone.
func (c *Control) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	switch {
	case err == io.EOF && !c.draining && c.Refuse == nil:
		c.drain(serve.Drain{Kept: true})
	case err == io.EOF && !c.draining:
		_ = c.Refuse()
		c.drain(serve.Drain{})
	case err == io.EOF:
		c.drain(serve.Drain{})
	case !c.draining:
		c.announce(true)
		c.drain(serve.Drain{Kept: true})
	}
}

// drain orders a drain once, and once more when no worker will take anything over.
// Until the first order is taken the listening socket is certainly open.
func (c *Control) drain(how serve.Drain) {
	if c.last {
		return
	}
	c.last = how.Last()
	if !c.draining {
		c.draining = true
		close(c.drained) // before the engine can take the order
	}
	c.orders.Put(how)
}

// Draining reports whether a drain has been ordered.
func (c *Control) Draining() bool {
	select {
	case <-c.drained:
		return true
	default:
		return false
	}
}

// Report sends the master the progress of the drain: connections left, and bytes of
// their responses. If the channel is full, the next report follows a second later.
func (c *Control) Report(connections int, bytes int64) {
	_ = c.channel.Send(ipc.Remaining{Connections: connections, Bytes: bytes})
}

// QueuesEmpty tells the master that no connection waits for this worker any more.
func (c *Control) QueuesEmpty() { _ = c.channel.Send(ipc.QueuesEmpty{}) }

// announce tells the master that this worker drains, so that another takes its slot, and
// what waits in its accept queue if that is kept for one. If the signal came from the
// master, it knows already. Errors do not matter: the master is gone, or about to kill
// this worker.
func (c *Control) announce(kept bool) {
	if kept && c.Refuse != nil {
		_ = c.channel.Send(ipc.QueueLeft{})
	}
	_ = c.channel.Send(ipc.Draining{})
}

// Stop ends both readers; the channel stays open, since its end tells the master that this
// process is gone.
func (c *Control) Stop() {
	close(c.stopped)
	c.orders.End()
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
