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
	kindShort    = "short"    // a connection for each request
	kindKept     = "kept"     // one that is kept, and much used
	kindIdle     = "idle"     // one that is kept, and rarely used
	kindDownload = "download" // a large file, slowly
	kindRange    = "range"    // a part of it
)

const (
	replyTime = 45 * time.Second // more than a slot can be without a process
	mostShown = 20               // failures; they are often much alike

	largeSize   = 8 << 20
	largePiece  = 64 << 10
	largeBuffer = 64 << 10                 // of the socket, so that the server feels the pace
	largePace   = 31250 * time.Microsecond // for each piece: 2 MiB in a second
)

// page is a file and its content.
type page struct {
	path string
	body []byte
}

// load is all clients and what became of their requests.
type load struct {
	plain  address
	second address
	local  address
	secure address
	http2  address // the same
	h2c    address // plain
	pages  []page
	large  page
	report func(format string, args ...any) // a failure
	note   func(format string, args ...any) // anything else

	once  sync.Once
	quit  chan struct{}
	light sync.WaitGroup // clients that end before the server does
	heavy sync.WaitGroup // those that end with it

	door    sync.RWMutex // held while a download begins
	shut    bool         // none may begin any more
	sending atomic.Int32 // downloads under way

	mu        sync.Mutex
	served    map[string]int // replies by kind and address
	announced int            // connections that the server ended as it had said
	excused   excused
	wrong     int // everything else
}

func newLoad(c *chaos) *load {
	l := &load{report: c.errorf, note: c.logf, quit: make(chan struct{}), served: map[string]int{}}
	for i, size := range []int{5, 700, 9_000, 40_000} {
		path := fmt.Sprintf("/page%d.bin", i)
		l.pages = append(l.pages, page{path, harness.Noise("chaos"+path, size)})
	}
	// No two places of it are alike.
	l.large = page{"/large.bin", harness.Noise("chaos", largeSize)}
	return l
}

// start lets the clients in.
func (l *load) start(seed uint64) {
	stream := uint64(0) // the schedule has the first
	for _, g := range []struct {
		kind   string
		n      int
		at     *address
		joined *sync.WaitGroup
		live   func(*patron)
	}{
		{kindShort, 4, &l.plain, &l.light, func(p *patron) { p.repeat(p.comeAndGo, 2*time.Millisecond, 10*time.Millisecond) }},
		{kindKept, 16, &l.plain, &l.light, func(p *patron) { p.repeat(p.converse, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 8, &l.plain, &l.light, func(p *patron) { p.repeat(p.doze, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 6, &l.plain, &l.heavy, func(p *patron) { p.downloads(false) }},
		{kindRange, 1, &l.plain, &l.heavy, func(p *patron) { p.downloads(true) }},
		{kindShort, 1, &l.second, &l.light, func(p *patron) { p.repeat(p.comeAndGo, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindKept, 4, &l.second, &l.light, func(p *patron) { p.repeat(p.converse, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindDownload, 1, &l.second, &l.heavy, func(p *patron) { p.downloads(false) }},
		{kindKept, 4, &l.local, &l.light, func(p *patron) { p.repeat(p.converse, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 1, &l.local, &l.light, func(p *patron) { p.repeat(p.doze, time.Millisecond, 2*time.Millisecond) }},
		{kindShort, 2, &l.secure, &l.light, func(p *patron) { p.repeat(p.comeAndGo, 20*time.Millisecond, 80*time.Millisecond) }},
		{kindKept, 6, &l.secure, &l.light, func(p *patron) { p.repeat(p.converse, 5*time.Millisecond, 50*time.Millisecond) }},
		{kindIdle, 2, &l.secure, &l.light, func(p *patron) { p.repeat(p.doze, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 2, &l.secure, &l.heavy, func(p *patron) { p.downloads(false) }},
		{kindKept, 3, &l.http2, &l.light, func(p *patron) { p.repeat(p.multiplex, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 2, &l.http2, &l.heavy, func(p *patron) { p.downloads(false) }},
		{kindKept, 3, &l.h2c, &l.light, func(p *patron) { p.repeat(p.multiplex, time.Millisecond, 2*time.Millisecond) }},
		{kindDownload, 1, &l.h2c, &l.heavy, func(p *patron) { p.downloads(false) }},
	} {
		for i := range g.n {
			stream++
			p := &patron{
				load: l, kind: g.kind, at: g.at, rng: rand.New(rand.NewPCG(seed, stream)),
				name: fmt.Sprintf("%s %d%s", g.kind, i+1, g.at.over),
			}
			g.joined.Go(func() { g.live(p) })
		}
	}
}

// end lets the light clients finish and then, at the moment when no download
// is just beginning, calls stop. It returns how many were under way, when they
// have ended.
func (l *load) end(stop func()) (under int32) {
	l.once.Do(func() { close(l.quit) })
	l.light.Wait()
	l.door.Lock()
	l.shut = true
	under = l.sending.Load()
	stop()
	l.door.Unlock()
	l.heavy.Wait()
	return under
}

// leave is the cleanup: nobody may be left when the test has ended.
func (l *load) leave() { l.end(func() {}) }

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, n := range l.served {
		sum += n
	}
	return sum
}

// pause waits, but not when it is time to leave.
func (l *load) pause(d time.Duration) {
	select {
	case <-l.quit:
	case <-time.After(d):
	}
}

// patron is one client. It has one connection at a time and keeps it for as
// long as the server does not announce its end.
type patron struct {
	*load
	kind   string
	at     *address
	name   string
	rng    *rand.Rand
	conn   *harness.Client
	fresh  bool    // it has brought no reply yet
	framed *framed // on it, for HTTP/2
	doing  string  // for messages
}

// repeat goes on until it is time to leave.
func (p *patron) repeat(act func() error, least, most time.Duration) {
	defer p.close()
	for {
		select {
		case <-p.quit:
			return
		default:
		}
		if err := act(); err != nil {
			p.failed(err)
		}
		p.pause(harness.Between(p.rng, least, most))
	}
}

// reach opens a connection if there is none.
func (p *patron) reach(buffer int) error {
	if p.conn == nil {
		p.doing = "connecting"
		conn, err := p.at.connect(buffer)
		if err != nil {
			return err
		}
		p.conn, p.fresh = conn, true
		if err := p.conn.SetDeadline(time.Now().Add(replyTime)); err != nil {
			return err
		}
		if p.at.tls != nil {
			p.doing = "in the handshake"
			if err := p.conn.Encrypt(p.at.tls); err != nil {
				return err
			}
		}
	}
	return p.conn.SetDeadline(time.Now().Add(replyTime))
}

func (p *patron) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn, p.framed = nil, nil
	}
}

// failed settles what should not have happened. Hardly anything excuses it.
func (p *patron) failed(err error) {
	from := "nowhere"
	if p.conn != nil {
		from = p.conn.LocalAddr().String()
	}
	connected := p.conn != nil
	p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if connected && p.excuses(err) {
		p.note("%s, %s, from %s: %v, which a death may excuse", p.name, p.doing, from, err)
		return
	}
	if p.wrong++; p.wrong <= mostShown {
		p.report("%s, %s, from %s: %v", p.name, p.doing, from, err)
	}
}

func (p *patron) count() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = false
	p.served[p.kind+p.at.over]++
}
