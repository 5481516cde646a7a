package admin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// patience is how long a client may be without a complete request while others
// want its place. One whose request is on its way needs a fraction of it.
const patience = 500 * time.Millisecond

// gate is a listener that lets a bounded number of clients in. When it is full,
// whoever has been longest without a complete request makes room for the next,
// so that slow and silent clients, however many, keep nobody out for long. While
// all are being answered the next one waits.
type gate struct {
	net.Listener
	max      int
	patience time.Duration

	mu     sync.Mutex
	guests []*guest      // those that have no request by since, and the others anywhere
	kept   bool          // Close leaves the listener open
	room   chan struct{} // has a token when somebody has left or begun to wait
	closed chan struct{}
	once   sync.Once
}

func newGate(l net.Listener, max int) *gate {
	return &gate{Listener: l, max: max, patience: patience, room: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept has one caller, the server's loop.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		if g.suspended() {
			err = http.ErrServerClosed // and no passing trouble, as a deadline would be
		}
		return nil, err
	}
	guest := &guest{Conn: c, gate: g}
	for {
		again, in := g.admit(guest)
		if in {
			return guest, nil
		}
		select {
		case <-g.room:
		case <-again:
		case <-g.closed:
			c.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close wakes Accept as well, and sends those away that wait.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	g.mu.Lock()
	kept := g.kept
	for i := g.firstWaiting(); i >= 0 && !kept; i = g.firstWaiting() {
		g.expel(i)
	}
	g.mu.Unlock()
	if kept {
		return nil // and those whose request is on its way are still answered
	}
	return g.Listener.Close()
}

func (g *gate) suspended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept
}

// pending reports that somebody who was let in waits for an answer, or has not
// asked yet.
func (g *gate) pending() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.guests, func(c *guest) bool { return c.busy || !c.asked })
}

// suspend ends Accept, and leaves those who come from now on to whoever has the
// listener next.
func (g *gate) suspend() error {
	g.mu.Lock()
	g.kept = true
	g.mu.Unlock()
	return g.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0))
}

// admit lets c in, or says when it is worth another try; nil: when there is room.
func (g *gate) admit(c *guest) (again <-chan time.Time, in bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.guests) >= g.max {
		i := g.firstWaiting()
		if i < 0 {
			return nil, false
		}
		if left := g.patience - time.Since(g.guests[i].since); left > 0 {
			return time.After(left), false
		}
		g.expel(i)
	}
	c.since = time.Now()
	g.guests = append(g.guests, c)
	return nil, true
}

// firstWaiting, expel, forget and notify are called with the lock.
func (g *gate) firstWaiting() int {
	for i, c := range g.guests {
		if !c.busy {
			return i
		}
	}
	return -1
}

// expel closes a connection under its reader, which notices.
func (g *gate) expel(i int) {
	c := g.guests[i]
	g.forget(i)
	c.out = true
	c.Conn.Close()
}

func (g *gate) forget(i int) {
	g.guests = append(g.guests[:i], g.guests[i+1:]...)
}

func (g *gate) notify() {
	select {
	case g.room <- struct{}{}:
	default: // one is enough for the one that waits
	}
}

// guest is a client's connection.
type guest struct {
	net.Conn
	gate  *gate
	since time.Time // without a request
	busy  bool      // a request is being answered
	asked bool      // there has been one
	out   bool      // it is no longer among the guests
}

// begin says that a request is complete; false: too late.
func (c *guest) begin() bool {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.busy = !c.out
	c.asked = true
	return c.busy
}

// rest says that the reply has been sent. It is the last in the row then.
func (c *guest) rest() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.busy = false
	if c.leave() {
		c.out, c.since = false, time.Now()
		c.gate.guests = append(c.gate.guests, c)
	}
}

// Close lets somebody else in.
func (c *guest) Close() error {
	c.gate.mu.Lock()
	c.leave()
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

func (c *guest) leave() bool {
	defer c.gate.notify()
	if c.out {
		return false
	}
	c.out = true
	for i, other := range c.gate.guests {
		if other == c {
			c.gate.forget(i)
			break
		}
	}
	return true
}

// guestKey is where the context of a request has its guest.
type guestKey struct{}

func withGuest(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, c)
}

// guestOf returns the connection that a request came by.
func guestOf(ctx context.Context) *guest {
	return ctx.Value(guestKey{}).(*guest)
}

// trusted reports whether a request that came over the loopback interface names
// this machine as nobody else could: a page of another site, whose name was made
// to lead here, would read what is meant for this machine (DNS rebinding). Who
// listens on other addresses has names that are not known here.
func trusted(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
