// Package control is the worker's half of the control channel. A [Control]
// turns what the master says, by message, by signal or by its death, into
// channels, and the first reason to end into a [serve.Leaving]: whatever comes
// after it changes nothing. The other way go the signs of life, the wish to be
// replaced, both from a [Watcher], and what a drain still has to do.
// It registers no signal and opens no socket: those are handed to it.
package control

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"phalanx/internal/ipc"
	"phalanx/internal/serve"
)

// Config is what a Control listens to beside the channel, and what it does to
// the listening socket. All of it is required.
type Config struct {
	Signals  <-chan os.Signal // each asks for the end; closed by the caller, see [Control.Stop]
	Refuse   func() error     // lets the listening socket begin no other connection
	Refusing func() bool      // reports whether it does not
	Slot     int              // that this worker fills
}

// grantTime is how long what the master said before its signal may still be on
// its way through this process.
const grantTime = 50 * time.Millisecond

// Control has two readers, of the channel and of the signals, which run until
// [Control.Stop].
type Control struct {
	Config
	channel  *ipc.Channel
	granted  chan struct{} // the master lets requests be taken
	drain    chan struct{} // it is time to end
	stopped  chan struct{} // nobody looks any more
	once     sync.Once     // closes drain
	ending   sync.Once     // closes finish
	leaving  serve.Leaving // how; written before drain is closed
	finish   chan struct{} // what was to be given away is to end
	legacies chan int      // bequests on which other workers' connections come
	heirs    chan int      // and on which this one's go
	looks    chan chan<- []serve.Seen
	readers  sync.WaitGroup
}

// New begins to listen to the master. The channel stays the caller's.
func New(channel *ipc.Channel, cfg Config) *Control {
	c := &Control{
		Config:   cfg,
		channel:  channel,
		granted:  make(chan struct{}),
		drain:    make(chan struct{}),
		stopped:  make(chan struct{}),
		finish:   make(chan struct{}),
		legacies: make(chan int),
		heirs:    make(chan int),
		looks:    make(chan chan<- []serve.Seen),
	}
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
	case <-c.drain:
	}
	// What the master said before its signal may not have been read yet: this
	// worker may have been given the connections of another.
	select {
	case <-c.granted:
		return true
	case <-time.After(grantTime):
		return false
	}
}

// Drain is closed when it is time to end.
func (c *Control) Drain() <-chan struct{} { return c.drain }

// Leaving returns how this worker is to go, once Drain is closed.
func (c *Control) Leaving() serve.Leaving { return c.leaving }

// Legacies delivers bequests on which other workers' connections come. The
// descriptors are the receiver's to close.
func (c *Control) Legacies() <-chan int { return c.legacies }

// Heirs delivers bequests on which this worker's connections go. The descriptors
// are the receiver's to close.
func (c *Control) Heirs() <-chan int { return c.heirs }

// Finish is closed when nobody will come to take what is being given away.
func (c *Control) Finish() <-chan struct{} { return c.finish }

func (c *Control) listen() {
	for range c.Signals {
		// The master's own signal comes when it has made the socket refuse
		// connections: then nobody takes it over.
		if !c.begin(func() { c.announce(); c.leaving.Kept = !c.Refusing() }) {
			c.end()
		}
	}
}

// receive ends with the channel: then the master is gone, and nobody would
// ever tell this worker to drain.
func (c *Control) receive() {
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
		case ipc.Show:
			if fd >= 0 {
				c.readers.Go(func() { c.show(m.ID, fd) })
			}
			continue
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
func (c *Control) pass(to chan<- int, fd int) {
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
func (c *Control) begin(first func()) (begun bool) {
	c.once.Do(func() {
		first()
		close(c.drain)
		begun = true
	})
	return begun
}

// Report tells the master what is left to do: connections, and bytes of their
// responses. If it cannot be told now, it is told a second later.
func (c *Control) Report(connections int, bytes int64) {
	_ = c.channel.Send(ipc.Left{Connections: connections, Bytes: bytes})
}

// end is for when nobody will come to take what is being given away.
func (c *Control) end() { c.ending.Do(func() { close(c.finish) }) }

// announce tells the master that this worker drains, so that another takes
// its slot. If the signal was the master's own, it knows. If it cannot be
// told, it is gone or about to end this worker, and needs no news of it.
func (c *Control) announce() {
	_ = c.channel.Send(ipc.Draining{})
}

// bequeath is for when there will be no other worker to take the listening
// socket over: what would come too late for this one is not let in. If that
// cannot be had, a client may be reset.
func (c *Control) bequeath() {
	_ = c.Refuse()
}

// Stop ends both readers, once Signals is closed; the channel stays open, since
// its end tells the master that this process is gone.
func (c *Control) Stop() {
	close(c.stopped)
	c.channel.SetReadDeadline(time.Unix(1, 0))
	c.readers.Wait()
}
