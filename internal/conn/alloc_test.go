package conn

import (
	"testing"
	"time"

	"phalanx/internal/proto"
)

// requests are typical requests.
var requests = []struct {
	name, raw string
	status    proto.Status
}{
	{"GET", get("/", "User-Agent: x", "Accept: */*", "Accept-Encoding: gzip, br", "Connection: keep-alive"), 200},
	{"HEAD", request("HEAD", "/"), 200},
	{"range", get("/a", "Range: bytes=2-4", "If-Range: "+tag(10)), 206},
	{"304 by tag", get("/a", "If-None-Match: "+tag(10)), 304},
	{"304 by date", get("/a", "If-Modified-Since: "+dateFile), 304},
	{"404", get("/nope"), 404},
	{"405", request("POST", "/"), 405},
	{"OPTIONS", request("OPTIONS", "*"), 204},
}

// cycle responds to a request on a connection that stays open.
func cycle(c *Conn, in, out []byte, now Now) ([]byte, bool) {
	c.Receive(in, now)
	out, step := c.Next(out, now)
	for step == Send {
		n := min(c.Segment().Len, 1<<20)
		c.Sent(n, now)
		out, step = c.Next(out, now)
	}
	c.Hold()
	return out, step == Read
}

// In the steady state a request allocates nothing, observed or not.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, obs := range []Observer{nil, counter{}} {
		for _, r := range requests {
			t.Run(r.name, func(t *testing.T) {
				cfg := newConfig()
				cfg.Site.(*fakeSite).silent = true
				now := Now{Mono: time.Second, Second: cfg.NewSecond(unixNow)}
				c := New(cfg, obs, now)
				in, out := []byte(r.raw), make([]byte, 0, 64<<10)
				reply, alive := cycle(&c, in, out, now)
				line := string(proto.AppendStatusLine(nil, r.status))
				if !alive || string(reply[:len(line)]) != line {
					t.Fatalf("alive %v\n%s", alive, reply)
				}
				if n := testing.AllocsPerRun(100, func() { cycle(&c, in, out, now) }); n != 0 {
					t.Errorf("%v allocations, observer %v", n, obs)
				}
			})
		}
	}
}

// counter is an observer that keeps nothing.
type counter struct{}

func (counter) Received(*Exchange) {}
func (counter) Decided(*Exchange)  {}
func (counter) Ended(*Exchange)    {}

func BenchmarkKeepAlive(b *testing.B) {
	for _, r := range requests {
		b.Run(r.name, func(b *testing.B) {
			cfg := newConfig()
			cfg.Site.(*fakeSite).silent = true
			now := Now{Mono: time.Second, Second: cfg.NewSecond(unixNow)}
			c := New(cfg, nil, now)
			in, out := []byte(r.raw), make([]byte, 0, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, alive := cycle(&c, in, out, now); !alive {
					b.Fatal("closed")
				}
			}
		})
	}
}
