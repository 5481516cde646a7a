// Package control is the worker's half of the control channel. A [Control]
// translates what the master says, by message, by signal or by its death, into
// orders for the engine, in the order in which it comes and in one place. The
// other way go the signs of life, the wish to be replaced, both from a
// [Watcher], and what a drain still has to do.
// It registers no signal and opens no socket: those are handed to it.
package control

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
)

// Config is what a Control listens to beside the channel, and what it does to
// the listening socket. All but Keep and Refuse is required.
type Config struct {
	Signals <-chan os.Signal // each asks for the end; closed by the caller, see [Control.Stop]
	// Refuse lets the listening socket begin no other connection; nil: somebody else
	// keeps it, and what waits there is for whoever that starts next.
	Refuse   func() error
	Refusing func() bool // reports whether it does not
	// Keep makes another keeper and returns its pid; nil: nothing outlives this
	// worker.
	Keep func() (pid int, err error)
}

// grantTime is how long what the master said before its signal may still be on
// its way through this process.
const grantTime = 50 * time.Millisecond

// Control has two readers, of the channel and of the signals, which run until
// [Control.Stop].
type Control struct {
	Config
	channel *ipc.Channel
	orders  serve.Orders
	granted chan struct{} // closed when the master lets requests be taken
	drained chan struct{} // closed when a drain has been ordered
	readers sync.WaitGroup

	// mu is held while one event is translated, so that the orders are queued in
	// the order of the events.
	mu       sync.Mutex
	rescue   func(channel int, blame ipc.Blame) (ipc.Rescued, error)
	allowed  bool // granted is closed
	draining bool // a drain has been ordered
	last     bool // and that nobody will come to take anything over
}

// New begins to listen to the master. The channel stays the caller's.
func New(channel *ipc.Channel, cfg Config) *Control {
	c := &Control{Config: cfg, channel: channel, granted: make(chan struct{}), drained: make(chan struct{})}
	c.readers.Go(c.listen)
	c.readers.Go(c.receive)
	return c
}

// Await waits until requests may be taken, and reports false if it is time to
// end without having been allowed to.
func (c *Control) Await() bool {
	select {
	case <-c.granted:
		return true
	case <-c.drained:
	}
	// What the master said before its signal may not have been read yet: this
	// worker may have been handed the connections of another.
	select {
	case <-c.granted:
		return true
	case <-time.After(grantTime):
		return false
	}
}

// Orders are those for the engine. Whoever takes them ends them.
func (c *Control) Orders() *serve.Orders { return &c.orders }

func (c *Control) listen() {
	for range c.Signals {
		c.signalled()
	}
}

// receive ends with the channel.
func (c *Control) receive() {
	for {
		m, fd, err := c.channel.ReceiveFile()
		if errors.Is(err, os.ErrDeadlineExceeded) { // by Stop
			return
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
	case ipc.Keep:
		c.keep()
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

// OnRescue is what takes over the connections that come on a channel, which it
// closes. It has to be known before the master is told that this worker is
// ready.
func (c *Control) OnRescue(rescue func(channel int, blame ipc.Blame) (ipc.Rescued, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rescue = rescue
}

// rescueFrom takes over a dead worker's connections. If that fails, the master
// learns that this worker is of no use: it keeps them for another.
func (c *Control) rescueFrom(fd int, blame ipc.Blame) {
	rescued, err := c.rescue(fd, blame)
	if err != nil {
		_ = c.channel.Send(ipc.Failed{ExitCode: exitcode.Failure, Reason: err.Error()})
		c.drain(serve.Drain{Kept: true})
		return
	}
	_ = c.channel.Send(rescued)
}

// keep makes another keeper and tells the master which. Without one this worker
// serves on: it is no worse off than its clients would be without it.
func (c *Control) keep() {
	if c.Keep == nil {
		return
	}
	if pid, err := c.Keep(); err == nil {
		_ = c.channel.Send(ipc.Keeper{PID: pid})
	}
}

// signalled translates a signal. The master's own comes when it has made the
// listening socket refuse connections: then nobody takes it over.
func (c *Control) signalled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		c.drain(serve.Drain{})
		return
	}
	c.announce()
	c.drain(serve.Drain{Kept: !c.Refusing()})
}

// lost translates the end of the channel: nobody would ever tell this worker to
// drain. Without a master there is no other worker to take the listening socket
// over: what would come too late for this one is not let in. If that cannot be
// had, a client may be reset. A master that cannot be understood is not gone.
func (c *Control) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == io.EOF && !c.draining && c.Refuse == nil:
		c.drain(serve.Drain{Kept: true})
	case err == io.EOF && !c.draining:
		_ = c.Refuse()
		c.drain(serve.Drain{})
	case err == io.EOF:
		c.drain(serve.Drain{})
	case !c.draining:
		c.announce()
		c.drain(serve.Drain{Kept: true})
	}
}

// drain orders a drain, once, and once more that nobody will come to take
// anything over. Until the first is taken the listening socket is certainly open.
func (c *Control) drain(how serve.Drain) {
	if c.last {
		return
	}
	c.last = how.Last()
	c.orders.Put(how)
	if !c.draining {
		c.draining = true
		close(c.drained)
	}
}

// Report tells the master what is left to do: connections, and bytes of their
// responses. If it cannot be told now, it is told a second later.
func (c *Control) Report(connections int, bytes int64) {
	_ = c.channel.Send(ipc.Remaining{Connections: connections, Bytes: bytes})
}

// announce tells the master that this worker drains, so that another takes
// its slot. If the signal was the master's own, it knows. If it cannot be
// told, it is gone or about to end this worker, and needs no news of it.
func (c *Control) announce() {
	_ = c.channel.Send(ipc.Draining{})
}

// Stop ends both readers, once Signals is closed; the channel stays open, since
// its end tells the master that this process is gone.
func (c *Control) Stop() {
	c.orders.End()
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
