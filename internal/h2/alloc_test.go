package h2

import (
	"testing"
	"unsafe"

	"golang.org/x/net/http2"

	"phalanx/internal/conn"
)

// script is a client that sends the same requests again and again, without x/net.
type script struct {
	c     *Conn
	now   conn.Now
	block []byte
	in    []byte
	out   []byte
	id    uint32
}

func newScript(t testing.TB, fields ...string) *script {
	c := connect(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	c.enc.SetMaxDynamicTableSize(0)
	c.get(1, "/")
	c.flush()
	return &script{c: c.conn, now: c.now, block: c.head(fields...), out: make([]byte, 0, 256<<10), id: 3}
}

// round sends n requests and receives their responses.
func (s *script) round(n int) {
	s.in = appendWindowUpdate(s.in[:0], 0, 16<<10*n)
	for range n {
		s.in = appendFrame(s.in, frame{len(s.block), frameHeaders, flagEndHeaders | flagEndStream, s.id})
		s.in = append(s.in, s.block...)
		s.id += 2
	}
	if s.c.window > 1<<29 {
		s.in = s.in[headerLen+4:]
	}
	s.now.Mono += 1e9
	s.c.Receive(s.in, s.now)
	for {
		var step conn.Step
		s.out, step = s.c.Next(s.out[:0], s.now)
		for step == conn.Send {
			s.c.Sent(s.c.Segment().Len, s.now)
			s.out, step = s.c.Next(s.out, s.now)
		}
		if step == conn.Read {
			break
		}
		if step != conn.Flush {
			panic("the connection has ended")
		}
	}
	s.c.Hold()
}

// In the steady state a request allocates nothing.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, fields := range map[string][]string{
		"GET":   getFields("/page", "user-agent", "x", "accept-encoding", "gzip, br", "priority", "u=1, i"),
		"404":   getFields("/nope"),
		"range": getFields("/a", "range", "bytes=2-4"),
		"POST":  {":method", "POST", ":scheme", "https", ":authority", "x", ":path", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, fields...)
			s.round(100)
			if n := testing.AllocsPerRun(50, func() { s.round(10) }); n != 0 {
				t.Errorf("%v allocations for 10 requests", n)
			}
		})
	}
}

// An idle connection keeps no buffers and no streams, and its tables are as small as their
// content.
func TestIdleConnectionIsSmall(t *testing.T) {
	c := connect(t)
	for i := range 200 {
		c.get(uint32(2*i+1), "/page", "user-agent", "some browser")
		c.framer.WriteWindowUpdate(0, 8<<10)
		c.flush()
	}
	if size := unsafe.Sizeof(*c.conn); size > 1024 {
		t.Errorf("an idle connection has %d bytes", size)
	}
	if c.conn.in != nil || c.conn.streams != nil || c.conn.block != nil || c.conn.early != nil {
		t.Error("an idle connection keeps buffers or streams")
	}
}

func BenchmarkRequests(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(map[int]string{1: "1 stream", 10: "10 streams", 100: "100 streams"}[n], func(b *testing.B) {
			s := newScript(b, getFields("/page", "user-agent", "h2load")...)
			s.round(n)
			b.ReportAllocs()
			for b.Loop() {
				s.round(n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}
