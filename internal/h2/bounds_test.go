package h2

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// The streams of all connections together have no more files open than the limit, except for
// one per connection. Other streams wait. Those with content in memory do not count.
func TestFiles(t *testing.T) {
	bounds := NewBounds(2)
	var clients [2]*client
	for i := range clients {
		c := newClient(t, newConfig(), nil)
		c.cfg = NewConfig(c.http, bounds)
		c.conn = New(c.cfg, http1(c.cfg, nil, c.now), func() { c.woken = true }, c.now)
		c.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for id := uint32(1); id < 10; id += 2 {
			c.get(id, "/huge")
		}
		c.get(11, "/page")
		c.flush()
		clients[i] = c
	}
	hold := func(i, heads, open, extra int) {
		t.Helper()
		if c := clients[i]; len(c.heads) != heads || c.open() != open || bounds.Files() != extra {
			t.Fatalf("client %d: %d responses, %d files open, %d in all; want %d, %d and %d", i, len(c.heads), c.open(), bounds.Files(), heads, open, extra)
		}
	}
	hold(0, 3, 3, 2)
	hold(1, 1, 1, 2)
	clients[1].framer.WriteRSTStream(3, http2.ErrCodeCancel) // one that waits
	clients[1].framer.WriteRSTStream(1, http2.ErrCodeCancel) // the one that does not
	clients[1].flush()
	hold(1, 2, 1, 2)
	clients[0].framer.WriteRSTStream(5, http2.ErrCodeCancel)
	clients[0].flush()
	hold(0, 4, 3, 2)
	clients[0].conn.Abort(nil)
	hold(0, 4, 0, 0)
	clients[1].run()
	hold(1, 4, 3, 2) // 5, 7 and 9
	clients[1].framer.WriteRSTStream(5, http2.ErrCodeCancel)
	clients[1].flush()
	hold(1, 5, 3, 1) // 7 and 9, and the page
	clients[1].framer.WriteWindowUpdate(11, 1<<20)
	clients[1].flush()
	clients[1].answered(11, "200", 8<<10)
	clients[1].conn.Abort(nil)
	hold(1, 5, 0, 0)
}

// Requests with large heads whose responses cannot end do not exhaust the memory: connections that
// have a share of it get no more streams, and all others are served.
func TestMemory(t *testing.T) {
	bounds := NewBounds(1 << 20)
	value := strings.Repeat("x", 3900)
	fields := []string{"a", value, "a", value, "a", value, "a", value}
	begin := func(fields ...string) *client {
		c := newClient(t, newConfig(), nil)
		c.cfg = NewConfig(c.http, bounds)
		c.conn = New(c.cfg, http1(c.cfg, nil, c.now), func() { c.woken = true }, c.now)
		c.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range uint32(MaxStreams) {
			c.get(2*i+1, "/page", fields...)
		}
		c.flush()
		return c
	}
	var clients []*client
	for range 2 * maxMemory / (MaxStreams * 4 * len(value)) {
		clients = append(clients, begin(fields...))
	}
	const fair = fairMemory/(4*3900) + 1
	first, last := clients[0], clients[len(clients)-1]
	if len(first.heads) != MaxStreams || len(last.heads) != fair || len(last.resets) != MaxStreams-fair || last.resets[2*fair+1] != RefusedStream {
		t.Errorf("the first client has %d responses, the last %d and %d resets", len(first.heads), len(last.heads), len(last.resets))
	}
	usual := begin("cookie", value[:500])
	if len(usual.heads) != MaxStreams || len(usual.resets) > 0 {
		t.Errorf("a client with little memory has %d responses and %d resets", len(usual.heads), len(usual.resets))
	}
	usual.conn.Abort(nil)
	if held := bounds.memory.Load(); held > maxMemory+maxMemory/8 {
		t.Errorf("%d bytes are held", held)
	}
	for _, c := range clients[:len(clients)-1] {
		c.conn.Abort(nil)
	}
	last.get(2*MaxStreams+1, "/page")
	last.flush()
	if len(last.heads) != fair+1 {
		t.Errorf("%d responses once there is memory", len(last.heads))
	}
	for _, c := range clients {
		c.conn.Abort(nil)
		if c.conn.used != 0 {
			t.Errorf("a connection without a stream uses %d bytes", c.conn.used)
		}
	}
	if held := bounds.memory.Load(); held != 0 {
		t.Errorf("%d bytes are held without a stream", held)
	}
}

// A connection that shares its configuration with no other keeps the memory of a few of its streams, however
// many it has had.
func TestMemoryOfUnsharedConnection(t *testing.T) {
	http := newConfig()
	http.Alone = true
	c := newClient(t, http, nil)
	c.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	const streams = 100
	for id := uint32(1); id < 2*streams; id += 2 {
		c.get(id, "/page")
	}
	c.flush()
	if n := len(c.conn.streams); n != streams {
		t.Fatalf("%d streams are open, want %d", n, streams)
	}
	for id := uint32(1); id < 2*streams; id += 2 {
		c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	c.flush()
	if n := len(c.cfg.spare); n != 8 || c.open() != 0 || len(c.goaway) > 0 {
		t.Errorf("the memory of %d streams is kept, want 8; %d files open, GOAWAY %v", n, c.open(), c.goaway)
	}
}
