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

// evictAfter is how long a client may leave its request incomplete, or receive nothing of its
// response, while other connections wait. A normal request takes a fraction of it.
const evictAfter = 500 * time.Millisecond

// gate is a listener that limits the number of connections. At the limit it evicts the connection
// that has waited longest for its client, to complete a request or to receive a response, so slow
// and silent clients cannot lock others out. If all connections have requests in progress, the next
// one waits.
type gate struct {
	*Listener
	max        int
	evictAfter time.Duration

	mu        sync.Mutex
	clients   []*clientConn // connections that wait for their client are ordered by since
	suspended bool          // Close leaves the listener open
	room      chan struct{} // has a token when a connection has ended or begins to wait for its client
	closed    chan struct{}
	once      sync.Once
}

func newGate(l *Listener, max int) *gate {
	return &gate{Listener: l, max: max, evictAfter: evictAfter, room: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept has one caller, the server's loop.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		if g.isSuspended() {
			err = http.ErrServerClosed // instead of a timeout, which net/http would retry
		}
		return nil, err
	}
	client := &clientConn{Conn: c, gate: g}
	for {
		retry, ok := g.admit(client)
		if ok {
			return client, nil
		}
		select {
		case <-g.room:
		case <-retry:
		case <-g.closed:
			c.Close()
			return nil, net.ErrClosed
		}
	}
}

// Close also ends Accept, and closes idle connections.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	g.mu.Lock()
	suspended := g.suspended
	for i := g.firstIdle(); i >= 0 && !suspended; i = g.firstIdle() {
		g.evict(i)
	}
	g.mu.Unlock()
	if suspended {
		return nil // connections whose request is on its way are still served
	}
	return g.Listener.Close()
}

func (g *gate) isSuspended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.suspended
}

// pending reports whether an admitted client has a request under way, or has not
// sent its first one yet.
func (g *gate) pending() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.clients, func(c *clientConn) bool { return c.busy || !c.served })
}

// suspend ends Accept, and leaves new connections in the accept queue for the next
// owner of the listener.
func (g *gate) suspend() error {
	g.mu.Lock()
	g.suspended = true
	g.mu.Unlock()
	return g.SetDeadline(time.Unix(1, 0))
}

// admit admits c, or returns a timer after which to retry; nil means wait for g.room.
func (g *gate) admit(c *clientConn) (retry <-chan time.Time, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.clients) >= g.max {
		i := slices.IndexFunc(g.clients, func(c *clientConn) bool { return !c.busy || c.sending })
		if i < 0 {
			return nil, false
		}
		if left := g.evictAfter - time.Since(g.clients[i].since); left > 0 {
			return time.After(left), false
		}
		g.evict(i)
	}
	c.since = time.Now()
	g.clients = append(g.clients, c)
	return nil, true
}

// firstIdle, evict and notify are called with the lock held.
func (g *gate) firstIdle() int {
	return slices.IndexFunc(g.clients, func(c *clientConn) bool { return !c.busy })
}

// evict closes a connection, whose reader gets an error.
func (g *gate) evict(i int) {
	c := g.clients[i]
	g.clients = slices.Delete(g.clients, i, i+1)
	c.removed = true
	c.Conn.Close()
}

func (g *gate) notify() {
	select {
	case g.room <- struct{}{}:
	default: // one token is enough for the one waiting Accept
	}
}

// clientConn is an admitted connection. The mutex of its gate guards the fields below gate.
type clientConn struct {
	net.Conn
	gate    *gate
	since   time.Time // since when it has waited for its client
	busy    bool      // a request is under way
	sending bool      // it waits until the client receives more of the response
	served  bool      // there has been a request
	removed bool      // no longer in gate.clients
}

// begin marks a request as under way. It returns false if the connection was evicted.
func (c *clientConn) begin() bool {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.busy = !c.removed
	c.served = true
	return c.busy
}

// idle marks the response as sent.
func (c *clientConn) idle() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.busy = false
	c.waits()
}

// Write waits until the socket has accepted all bytes.
func (c *clientConn) Write(p []byte) (int, error) {
	c.gate.mu.Lock()
	c.sending = true
	c.waits()
	c.gate.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.gate.mu.Lock()
	c.sending = false
	c.gate.mu.Unlock()
	return n, err
}

// waits marks the beginning of a wait for the client, which puts the connection last in the order of
// eviction. It is called with the lock held.
func (c *clientConn) waits() {
	if c.remove() {
		c.removed, c.since = false, time.Now()
		c.gate.clients = append(c.gate.clients, c)
	}
}

// Close makes room for another client.
func (c *clientConn) Close() error {
	c.gate.mu.Lock()
	c.remove()
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

func (c *clientConn) remove() bool {
	defer c.gate.notify()
	if c.removed {
		return false
	}
	c.removed = true
	i := slices.Index(c.gate.clients, c)
	c.gate.clients = slices.Delete(c.gate.clients, i, i+1)
	return true
}

// clientKey is the context key of a request's client.
type clientKey struct{}

func withClient(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clientOf returns the connection of a request.
func clientOf(ctx context.Context) *clientConn {
	return ctx.Value(clientKey{}).(*clientConn)
}

// hostAllowed protects against DNS rebinding: a request over the loopback interface
// must have a Host that no other site can own, localhost or an IP address.
// Otherwise a page of another site, whose name resolves to this machine, could
// read the admin endpoint through a browser. On other addresses the names of this
// machine are not known, so every Host is accepted.
func hostAllowed(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() || r.Host == "" {
		return true // every browser sends a Host; HAProxy's health checks have none
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
