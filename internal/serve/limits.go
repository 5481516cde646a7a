package serve

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/proxyproto"
)

// AlertEvery is the shortest time between two alerts about one limit.
const AlertEvery = time.Minute

// HeadPatience is how long, at the limit of connections, a client may take to complete its
// request head or TLS handshake before its connection can be closed to make room.
const HeadPatience = 2 * time.Second

// Limits are an engine's limits (docs/limits.md). They are not safe for concurrent use, except
// TooSlow.
type Limits struct {
	Most    int        // connections
	Streams *h2.Bounds // of HTTP/2

	row       *scoreboard.Row
	alert     func(string)
	slot      int
	perClient int                    // of the pool; 0: no limit
	most      int                    // connections of one client
	pool      int                    // connections of the pool; 0: no limit
	possible  int                    // connections that leave a reserve of descriptors; stored because a sandboxed worker cannot read its limit
	clients   map[netip.Prefix]int32 // number of connections; nil: not counted
	minRate   int
	trust     *clientip.Trust                    // proxies, which are exempt
	told      [scoreboard.NumLimits]atomic.Int64 // nanoseconds; 0: never
	toldProxy atomic.Int64                       // likewise, for PROXY headers
}

// NewLimits returns the configured limits, undivided until [Limits.Share]. Most leaves a
// reserve of descriptors: one for each connection's file, and the worker's own.
func NewLimits(cfg *Config) *Limits {
	l := &Limits{row: cfg.Row, alert: cfg.Alert, slot: cfg.Slot, perClient: cfg.MaxPerClient, pool: cfg.MaxConnections, minRate: cfg.Conn.MinRate, trust: cfg.Conn.Trust, possible: maxConnections()}
	if l.perClient > 0 {
		l.clients = make(map[netip.Prefix]int32)
	}
	l.Streams = h2.NewBounds(l.possible / 2) // a quarter of the descriptors
	l.Share(1)
	return l
}

// Exceeded reports whether a number of connections exceeds the limit.
func (l *Limits) Exceeded(open int) bool {
	return open > l.Most || l.Impossible(open)
}

// Impossible reports whether a number of connections leaves too few descriptors.
func (l *Limits) Impossible(open int) bool {
	return open+l.Streams.Files()/2 > l.possible
}

// Share divides the pool's limits by its number of slots.
func (l *Limits) Share(slots int) {
	if l.Most = l.possible; l.pool > 0 {
		share := l.pool / slots
		if l.slot < l.pool%slots {
			share++
		}
		l.Most = min(l.Most, max(1, share))
	}
	l.most = clientShare(l.perClient, slots)
}

// clientShare returns the limit of connections of one client in one worker, given the limit n
// of the pool. The kernel distributes connections at random. So the share has a margin of four
// standard deviations, and is at least eight, which a browser uses: a client within n is
// practically never refused.
func clientShare(n, slots int) int {
	average := float64(n) / float64(slots)
	return min(n, max(8, int(math.Ceil(average+4*math.Sqrt(average)))))
}

// networkOf returns the network of a client; invalid: its connections are not counted.
func (l *Limits) networkOf(client *clientip.Addr) netip.Prefix {
	if l.clients == nil || client == nil || l.trust.Trusts(*client) {
		return netip.Prefix{}
	}
	return clientip.Subscriber(client.IP())
}

// Admit counts an accepted connection of a client, unless the client is exempt; not ok: the
// client is over the limit, and the connection must be closed.
func (l *Limits) Admit(client *clientip.Addr, now time.Duration) (counted, ok bool) {
	key := l.networkOf(client)
	if !key.IsValid() || int(l.clients[key]) < l.most {
		return l.Arrive(client), true
	}
	l.row.Limited[scoreboard.LimitClient].Add(1)
	if l.due(scoreboard.LimitClient, now) {
		l.alert(fmt.Sprintf("client %s has reached the limit of connections per client (%d in all, %d in this worker): "+
			"new ones are closed; raise --max-connections-per-client if it is a proxy or a NAT", strings.TrimSuffix(key.String(), "/32"), l.perClient, l.most))
	}
	return false, false
}

// Arrive counts a connection from another worker, regardless of the limit.
func (l *Limits) Arrive(client *clientip.Addr) (counted bool) {
	key := l.networkOf(client)
	if counted = key.IsValid(); counted {
		l.clients[key]++
	}
	return counted
}

// Leave uncounts a connection of a client.
func (l *Limits) Leave(client *clientip.Addr) {
	key := l.networkOf(client)
	if l.clients[key]--; l.clients[key] == 0 {
		delete(l.clients, key)
	}
}

// Reached alerts that the limit of connections is reached.
func (l *Limits) Reached(now time.Duration) {
	if !l.due(scoreboard.LimitIdle, now) {
		return
	}
	what, cure := fmt.Sprintf("limit of %d connections", l.Most), "raise the limit of open files (ulimit -n, LimitNOFILE=) or the number of workers"
	if l.pool > 0 && l.Most < l.possible {
		if what, cure = fmt.Sprintf("limit of %d connections", l.pool), "raise --max-connections if this is expected"; l.Most < l.pool {
			what += fmt.Sprintf(" (%d in this worker)", l.Most)
		}
	}
	l.alert(what + " reached: idle ones, or else those with incomplete request heads, are closed to make room; " + cure)
}

// TooSlow alerts that a client was below the minimum rate, if one is configured. It is safe
// for concurrent use.
func (l *Limits) TooSlow(now time.Duration) {
	if l.minRate > 0 && l.due(scoreboard.LimitRate, now) {
		l.alert(fmt.Sprintf("clients are below the minimum rate of %d bytes a second and are disconnected; lower --min-rate if they are legitimate", l.minRate))
	}
}

// Closed counts a connection that was closed to make room.
func (l *Limits) Closed(idle bool) {
	why := scoreboard.LimitHead
	if idle {
		why = scoreboard.LimitIdle
	}
	l.row.Limited[why].Add(1)
}

// unproxied alerts that a PROXY header was refused.
func (l *Limits) unproxied(reason proxyproto.Reason, peer clientip.Addr, now time.Duration) {
	if l.isDue(&l.toldProxy, now) {
		l.alert("connection closed: " + peer.Host() + " " + headerCures[reason])
	}
}

// due reports whether another alert about a limit is due.
func (l *Limits) due(about scoreboard.Limit, now time.Duration) bool {
	return l.isDue(&l.told[about], now)
}

func (l *Limits) isDue(last *atomic.Int64, now time.Duration) bool {
	told := last.Load()
	if l.alert == nil || told != 0 && now-time.Duration(told) < AlertEvery {
		return false
	}
	return last.CompareAndSwap(told, int64(max(now, 1)))
}

// maxConnections returns the number of connections that leave a reserve of descriptors.
func maxConnections() int {
	const own = 40 // 13 of an event loop, 15 more listening sockets, and some that are open briefly
	return max(1, (MaxFiles()-own)/2)
}
