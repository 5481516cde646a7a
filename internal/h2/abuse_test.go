package h2

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/http2"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
)

// attack costs a server more than the client.
type attack struct {
	name   string
	reason Reason
	most   int // rounds until the connection ends
	round  func(c *client, i int)
}

// run attacks until the connection ends.
func (a *attack) run(c *client) {
	for i := range a.most {
		if a.round(c, i); i%50 == 0 || i == a.most-1 {
			c.flush()
		}
		if c.step == conn.Linger {
			return
		}
	}
}

// attacks lists the known ones, each with one round of it.
var attacks = []attack{
	{"rapid reset", ReasonResets, budgetPoints + 1, func(c *client, i int) {
		c.get(uint32(2*i+1), "/page")
		c.framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	}},
	{"rapid reset of responses under way", ReasonResets, 3*budgetPoints + 1, func(c *client, i int) {
		c.get(uint32(2*i+1), "/huge")
		c.flush()
		c.framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	}},
	{"made to reset: window update of zero", ReasonStreamErrors, budgetPoints/costStreamError + 1, func(c *client, i int) {
		c.headers(uint32(2*i+1), false, getFields("/page")...)
		c.framer.WriteWindowUpdate(uint32(2*i+1), 0)
	}},
	{"made to reset: window overflow", ReasonStreamErrors, budgetPoints/costStreamError + 1, func(c *client, i int) {
		c.headers(uint32(2*i+1), false, getFields("/page")...)
		c.framer.WriteWindowUpdate(uint32(2*i+1), maxWindow)
	}},
	{"made to reset: malformed requests", ReasonStreamErrors, budgetPoints/costStreamError + 1, func(c *client, i int) {
		c.headers(uint32(2*i+1), true, getFields("/", "connection", "x")...)
	}},
	{"made to reset: content behind the end", ReasonStreamErrors, budgetPoints/costStreamError + 100, func(c *client, i int) {
		c.headers(uint32(2*i+1), true, getFields("/huge")...)
		c.framer.WriteData(uint32(2*i+1), false, make([]byte, 100))
	}},
	{"more streams than allowed", ReasonStreamErrors, MaxStreams + 2*budgetPoints/costStreamError + 1, func(c *client, i int) {
		if i == 0 {
			c.framer.WriteSettingsAck()
		}
		c.headers(uint32(2*i+1), false, getFields("/")...)
	}},
	{"empty CONTINUATION frames", ReasonContinuations, maxContinuations + 1, func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head(getFields("/")...)})
		}
		c.framer.WriteContinuation(1, false, nil)
	}},
	{"full CONTINUATION frames", ReasonContinuations, 3, func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, maxFrame)})
		}
		c.framer.WriteContinuation(1, false, make([]byte, maxFrame))
	}},
	{"header lists over the limit", ReasonHeaderLists, 3 * budgetPoints / costStreamError, func(c *client, i int) { c.bomb(i, 10) }},
	{"trailers over the limit", ReasonHeaderLists, 3 * budgetPoints / costStreamError, func(c *client, i int) {
		if i == 0 {
			c.get(1, "/", "bomb", strings.Repeat("x", 4000))
			return
		}
		id := uint32(2*i + 1)
		c.headers(id, false, getFields("/")...)
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{0xbe}, 10), EndStream: true, EndHeaders: true})
	}},
	{"a bomb", ReasonHeaderLists, 2, func(c *client, i int) { c.bomb(i, 1000) }},
	{"a bomb in trailers", ReasonHeaderLists, 2, func(c *client, i int) {
		if i == 0 {
			c.headers(1, false, getFields("/", "bomb", strings.Repeat("x", 4000))...)
			return
		}
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: bytes.Repeat([]byte{0xbe}, 1000), EndStream: true, EndHeaders: true})
	}},
	{"SETTINGS", ReasonSettings, budgetPoints + 1, func(c *client, i int) { c.framer.WriteSettings() }},
	{"long SETTINGS", ReasonSettings, 10, func(c *client, i int) {
		c.framer.WriteSettings(make([]http2.Setting, maxFrame/6)...)
	}},
	{"answers to SETTINGS", ReasonSettings, budgetPoints + 1, func(c *client, i int) { c.framer.WriteSettingsAck() }},
	{"PING", ReasonPings, budgetPoints + 1, func(c *client, i int) { c.framer.WritePing(false, [8]byte{}) }},
	{"PING answers", ReasonPings, budgetPoints + 1, func(c *client, i int) { c.framer.WritePing(true, [8]byte{}) }},
	{"empty DATA", ReasonData, budgetPoints + 2, func(c *client, i int) {
		if i == 0 {
			c.headers(1, false, getFields("/")...)
		}
		c.framer.WriteData(1, false, nil)
	}},
	{"DATA of padding", ReasonData, budgetPoints + 2, func(c *client, i int) {
		if i == 0 {
			c.headers(1, false, getFields("/")...)
		}
		c.framer.WriteDataPadded(1, false, nil, make([]byte, 200))
	}},
	{"WINDOW_UPDATE", ReasonWindows, budgetPoints + 1, func(c *client, i int) { c.framer.WriteWindowUpdate(0, 1) }},
	{"windows of a few bytes", ReasonWindows, budgetPoints + 1, func(c *client, i int) {
		if i == 0 {
			c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
			c.get(1, "/huge")
		}
		c.framer.WriteWindowUpdate(1, 1)
	}},
	{"PRIORITY", ReasonPriorities, budgetPoints + 1, func(c *client, i int) { c.framer.WritePriority(1, http2.PriorityParam{Weight: 1}) }},
	{"PRIORITY_UPDATE", ReasonPriorities, budgetPoints + 1, func(c *client, i int) {
		c.framer.WriteRawFrame(0x10, 0, 0, []byte{0, 0, 0, byte(i%100*2 + 1), 'u', '=', '0' + byte(i%8)})
	}},
	{"unknown frames", ReasonFrames, budgetPoints + 1, func(c *client, i int) { c.framer.WriteRawFrame(0xbb, 0, 0, nil) }},
	{"GOAWAY", ReasonFrames, budgetPoints + 2, func(c *client, i int) {
		if i == 0 {
			c.get(1, "/huge")
		}
		c.framer.WriteGoAway(0, 0, nil)
	}},
	{"frames for streams that have ended", ReasonFrames, budgetPoints + 1, func(c *client, i int) {
		if i == 0 {
			c.headers(1, false, ":method", "PUT", ":scheme", "http", ":path", "/", ":authority", "x", "expect", "100-continue")
			c.flush()
		}
		c.framer.WriteData(1, false, make([]byte, smallData))
	}},
}

// bomb puts a field of 4,000 bytes into the table, and then refers to it n times in each
// request: few bytes that expand to many.
func (c *client) bomb(i, n int) {
	if i == 0 {
		c.get(1, "/", "bomb", strings.Repeat("x", 4000))
		return
	}
	block := append(c.head(getFields("/")...), bytes.Repeat([]byte{0xbe}, n)...)
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
}

func TestAttacksEndTheConnection(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			c := connect(t)
			a.run(c)
			c.failed(EnhanceYourCalm)
			if got := c.conn.Reason(); got != a.reason {
				t.Errorf("reason %q, want %q", got, a.reason)
			}
			if len(c.resets) > 300 {
				t.Errorf("%d streams were reset", len(c.resets))
			}
		})
	}
}

// The connection of a proxy is not ended for what one of its clients does, except for frames that no
// proxy passes on.
func TestProxiesHaveNoBudget(t *testing.T) {
	parse := func(s string) clientip.Addr { return clientip.From(netip.MustParseAddrPort(s + ":1000")) }
	network, err := clientip.ParseNetwork("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	proxy, other := parse("192.0.2.1"), parse("198.51.100.1")
	unix := clientip.Unix()
	for _, r := range []struct {
		name   string
		client *clientip.Addr
		local  bool
		ends   bool
	}{
		{"a trusted proxy", &proxy, false, false},
		{"a unix socket", &unix, true, false},
		{"a unix socket, no addresses", nil, true, false},
		{"a client named over a unix socket", &other, true, true},
		{"another address", &other, false, true},
		{"no address", nil, false, true},
	} {
		for _, a := range attacks {
			t.Run(r.name+"/"+a.name, func(t *testing.T) {
				c := newClient(t, newConfig(), nil)
				c.http.Trust = &clientip.Trust{Networks: clientip.NewNetworks([]clientip.Network{network})}
				old := http1(c.cfg, nil, c.now)
				if old.From(r.client); r.local {
					old.Local()
				}
				c.conn = New(c.cfg, old, func() {}, c.now)
				c.hello()
				a.run(c)
				atOnce := a.reason == ReasonContinuations || a.most == 2
				if ended := len(c.goaway) > 0; ended != (r.ends || atOnce) {
					t.Errorf("GOAWAY %v, reason %q", c.goaway, c.conn.Reason())
				}
			})
		}
	}
}

// Browsers' behaviour is not taken for an attack: requests that are cancelled a hundred at a
// time, and for each page window updates, settings, pings and priorities.
func TestBrowsersAreNoAttackers(t *testing.T) {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 6 << 20})
	c.framer.WriteWindowUpdate(0, 15<<20)
	for page := range 100 {
		for i := range 100 {
			c.get(uint32(page*200+2*i+1), "/page", "priority", "u=2")
		}
		if page%3 == 0 {
			for i := range 100 {
				c.framer.WriteRSTStream(uint32(page*200+2*i+1), http2.ErrCodeCancel)
			}
		}
		c.framer.WritePing(false, [8]byte{})
		c.framer.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1"))
		c.flush()
		for range 60 {
			c.framer.WriteWindowUpdate(0, 16<<10)
		}
		c.flush()
		c.now.Mono += time.Second
	}
	if len(c.goaway) > 0 || c.conn.budget.points < budgetPoints/2 {
		t.Errorf("GOAWAY %v, reason %q, %d points left", c.goaway, c.conn.Reason(), c.conn.budget.points)
	}
}

// A client that has not read for a while may answer all DATA frames that its socket holds at once:
// two window updates for each frame, or for each KiB.
func TestUpdatesAtOnce(t *testing.T) {
	t.Run("per frame", func(t *testing.T) { testUpdatesAtOnce(t, maxFrame) })
	t.Run("per KiB", func(t *testing.T) { testUpdatesAtOnce(t, 1<<10) })
}

func testUpdatesAtOnce(t *testing.T, read int) {
	const frames = 64 << 20 / maxFrame
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow / 2})
	c.framer.WriteWindowUpdate(0, frames*maxFrame-65_535)
	c.get(1, "/huge")
	c.flush()
	for sent := int64(frames * maxFrame); sent <= 3*frames*maxFrame; sent += frames * maxFrame {
		if c.bodies[1] != sent {
			t.Fatalf("%d bytes sent, want %d; reason %q", c.bodies[1], sent, c.conn.Reason())
		}
		for range frames * maxFrame / read {
			c.framer.WriteWindowUpdate(0, uint32(read))
			c.framer.WriteWindowUpdate(1, uint32(read))
		}
		c.flush()
	}
	for range budgetUpdates + budgetPoints + 1 {
		c.framer.WriteWindowUpdate(1, 1)
	}
	c.flush()
	c.failed(EnhanceYourCalm)
}

// Requests beyond the limit of streams, sent before the client can know the limit, are refused and end
// no connection (RFC 9113 §3.4).
func TestRequestsBeforeSettings(t *testing.T) {
	c := newClient(t, newConfig(), nil)
	c.send.WriteString(conn.Preface)
	c.framer.WriteSettings()
	const refused = 4 * budgetPoints / costStreamError
	for i := range uint32(MaxStreams + refused) {
		c.get(2*i+1, "/")
	}
	c.flush()
	if len(c.heads) != MaxStreams || len(c.resets) != refused || c.resets[2*MaxStreams+1] != RefusedStream || len(c.goaway) > 0 {
		t.Errorf("%d responses, %d resets, GOAWAY %v, reason %q", len(c.heads), len(c.resets), c.goaway, c.conn.Reason())
	}
}

// Resets for which the client's frames are not the cause do not end a connection with other responses.
func TestServerResetsCostNothing(t *testing.T) {
	t.Run("broken responses", func(t *testing.T) {
		c := connect(t)
		site := c.http.Site.(*fakeSite)
		site.breaks = true
		const requests = 3 * budgetPoints / costStreamError
		for i := range uint32(requests) {
			c.get(2*i+1, "/list/")
			c.flush()
		}
		if len(c.resets) != requests || c.resets[1] != InternalError || len(c.goaway) > 0 {
			t.Errorf("%d resets, GOAWAY %v, reason %q", len(c.resets), c.goaway, c.conn.Reason())
		}
	})
	t.Run("closed windows", func(t *testing.T) {
		c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		const last = 2*MaxStreams - 1
		for id := uint32(1); id <= last; id += 2 {
			c.get(id, "/huge")
		}
		c.flush()
		for range 2 * conn.SendTimeout / time.Second {
			c.now.Mono += time.Second
			c.framer.WriteWindowUpdate(0, maxFrame)
			c.framer.WriteWindowUpdate(last, maxFrame)
			c.flush()
		}
		if len(c.resets) != MaxStreams-1 || c.resets[1] != EnhanceYourCalm || len(c.goaway) > 0 || c.open() != 1 {
			t.Errorf("%d resets, %d files open, GOAWAY %v, reason %q", len(c.resets), c.open(), c.goaway, c.conn.Reason())
		}
	})
}

// A thousand downloads of 100 GB, on as few connections as possible, use little memory at
// any time, and those of a connection get equal shares.
func TestThousandDownloads(t *testing.T) {
	const each = 125
	var clients []*client
	for range 1000 / each {
		c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
		for id := uint32(1); id < 2*each; id += 2 {
			c.get(id, "/huge")
		}
		c.flush()
		clients = append(clients, c)
	}
	for range 30 {
		for _, c := range clients {
			c.framer.WriteWindowUpdate(0, 10<<20)
			c.flush()
		}
	}
	for _, c := range clients {
		memory := 0
		for _, s := range c.conn.streams {
			memory += int(unsafe.Sizeof(*s)) + cap(s.head) + cap(s.pending)
		}
		if n := len(c.conn.streams); n != each || c.open() != each || memory > n*1024 || cap(c.conn.in) > 0 || c.conn.block != nil {
			t.Errorf("%d streams with %d bytes, %d files open", n, memory, c.open())
		}
		least, most := int64(1<<62), int64(0)
		for _, n := range c.bodies {
			least, most = min(least, n), max(most, n)
		}
		if len(c.bodies) != each || most-least > maxFrame || least < 2<<20 {
			t.Errorf("%d downloads received %d to %d bytes, want equal shares", len(c.bodies), least, most)
		}
		c.conn.Abort(nil)
		if c.open() != 0 {
			t.Errorf("%d files open", c.open())
		}
	}
}
