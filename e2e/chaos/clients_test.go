package chaos

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"phalanx/e2e/harness"
)

// The kinds of clients.
const (
	kindShort    = "short"    // a new connection for each request
	kindKept     = "kept"     // a busy persistent connection
	kindIdle     = "idle"     // a persistent connection that is mostly idle
	kindDownload = "download" // a large file, slowly
	kindRange    = "range"    // a range of it
)

const (
	replyTime = 45 * time.Second // more than a slot can be without a worker
	mostShown = 20               // failures; most are alike

	largeSize   = 8 << 20
	largePiece  = 64 << 10
	largeBuffer = 64 << 10                 // of the socket, small so that the server has to wait
	largePace   = 31250 * time.Microsecond // for each piece: 2 MiB/s
)

// page is a file of the document root and its content.
type page struct {
	path string
	body []byte
}

// load is all clients and the outcomes of their requests.
type load struct {
	plain  address
	second address
	local  address
	secure address
	http2  address // over TLS
	h2c    address // in cleartext
	pages  []page
	large  page
	report func(format string, args ...any) // reports a failure
	note   func(format string, args ...any) // logs anything else

	once  sync.Once
	quit  chan struct{}
	light sync.WaitGroup // clients that finish before the server stops
	heavy sync.WaitGroup // clients that finish their downloads while it stops

	beginMu sync.RWMutex // held while a download begins
	stopped bool         // no more downloads may begin
	sending atomic.Int32 // downloads under way

	mu        sync.Mutex
	served    map[string]int // responses by kind and address
	announced int            // connections that the server closed as announced
	excused   excused
	wrong     int // failures
}

func newLoad(c *chaos) *load {
	l := &load{report: c.errorf, note: c.logf, quit: make(chan struct{}), served: map[string]int{}}
	for i, size := range []int{5, 700, 9_000, 40_000} {
		path := fmt.Sprintf("/page%d.bin", i)
		l.pages = append(l.pages, page{path, harness.Noise("chaos"+path, size)})
	}
	// No two parts of it are alike.
	l.large = page{"/large.bin", harness.Noise("chaos", largeSize)}
	return l
}

// start starts the clients.
func (l *load) start(seed uint64) {
	stream := uint64(0) // the schedule uses stream 0
	for _, g := range []struct {
		kind   string
		n      int
		at     *address
		joined *sync.WaitGroup
		live   func(*client)
	}{
		{kindShort, 4, &l.plain, &l.light, func(c *client) { c.repeat(c.requestOnce, 2*time.Millisecond, 10*time.Millisecond) }},
		{kindKept, 16, &l.plain, &l.light, func(c *client) { c.repeat(c.request, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 8, &l.plain, &l.light, func(c *client) { c.repeat(c.stayIdle, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 6, &l.plain, &l.heavy, func(c *client) { c.downloads(false) }},
		{kindRange, 1, &l.plain, &l.heavy, func(c *client) { c.downloads(true) }},
		{kindShort, 1, &l.second, &l.light, func(c *client) { c.repeat(c.requestOnce, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindKept, 4, &l.second, &l.light, func(c *client) { c.repeat(c.request, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindDownload, 1, &l.second, &l.heavy, func(c *client) { c.downloads(false) }},
		{kindKept, 4, &l.local, &l.light, func(c *client) { c.repeat(c.request, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 1, &l.local, &l.light, func(c *client) { c.repeat(c.stayIdle, time.Millisecond, 2*time.Millisecond) }},
		{kindShort, 2, &l.secure, &l.light, func(c *client) { c.repeat(c.requestOnce, 20*time.Millisecond, 80*time.Millisecond) }},
		{kindKept, 6, &l.secure, &l.light, func(c *client) { c.repeat(c.request, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 2, &l.secure, &l.light, func(c *client) { c.repeat(c.stayIdle, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 2, &l.secure, &l.heavy, func(c *client) { c.downloads(false) }},
		{kindKept, 3, &l.http2, &l.light, func(c *client) { c.repeat(c.multiplex, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 2, &l.http2, &l.heavy, func(c *client) { c.downloads(false) }},
		{kindKept, 3, &l.h2c, &l.light, func(c *client) { c.repeat(c.multiplex, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 1, &l.h2c, &l.heavy, func(c *client) { c.downloads(false) }},
	} {
		for i := range g.n {
			stream++
			c := &client{
				load: l, kind: g.kind, at: g.at, rng: rand.New(rand.NewPCG(seed, stream)),
				name: fmt.Sprintf("%s %d%s", g.kind, i+1, g.at.over),
			}
			g.joined.Go(func() { g.live(c) })
		}
	}
}

// end lets the light clients finish. Then, at a moment when no download is just beginning, it
// calls stop. It returns the number of downloads under way at that moment, once they have ended.
func (l *load) end(stop func()) (under int32) {
	l.once.Do(func() { close(l.quit) })
	l.light.Wait()
	l.beginMu.Lock()
	l.stopped = true
	under = l.sending.Load()
	stop()
	l.beginMu.Unlock()
	l.heavy.Wait()
	return under
}

// stop ends the load when the test did not.
func (l *load) stop() { l.end(func() {}) }

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, n := range l.served {
		sum += n
	}
	return sum
}

// pause waits for d, or until the load ends.
func (l *load) pause(d time.Duration) {
	select {
	case <-l.quit:
	case <-time.After(d):
	}
}

// client is one client of the load. It has one connection at a time, and keeps it until the server announces
// its end.
type client struct {
	*load
	kind   string
	at     *address
	name   string
	rng    *rand.Rand
	conn   *harness.Client
	fresh  bool    // no response was received on it yet
	framed *framed // conn's state over HTTP/2
	doing  string  // for error messages
}

// repeat calls act until the load ends.
func (c *client) repeat(act func() error, least, most time.Duration) {
	defer c.close()
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		if err := act(); err != nil {
			c.failed(err)
		}
		c.pause(harness.Between(c.rng, least, most))
	}
}

// connect opens a connection if there is none, and sets its deadline.
func (c *client) connect(buffer int) error {
	if c.conn == nil {
		c.doing = "connecting"
		conn, err := c.at.connect(buffer)
		if err != nil {
			return err
		}
		c.conn, c.fresh = conn, true
		if err := c.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		if c.at.tls != nil {
			c.doing = "in the handshake"
			if err := c.conn.Encrypt(c.at.tls); err != nil {
				return err
			}
		}
	}
	return c.conn.SetDeadline(time.Now().Add(replyTime))
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.framed = nil, nil
	}
}

// failed reports an error, unless a worker's death excuses it.
func (c *client) failed(err error) {
	from := "nowhere"
	if c.conn != nil {
		from = c.conn.LocalAddr().String()
	}
	connected := c.conn != nil
	c.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if connected && c.excuses(err) {
		c.note("%s, %s, from %s: %v, possibly excused by a worker's death", c.name, c.doing, from, err)
		return
	}
	if c.wrong++; c.wrong <= mostShown {
		c.report("%s, %s, from %s: %v", c.name, c.doing, from, err)
	}
}

func (c *client) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = false
	c.served[c.kind+c.at.over]++
}
