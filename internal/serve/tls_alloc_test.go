package serve_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// recorder is a connection that can record what is written instead of sending it.
type recorder struct {
	net.Conn
	recording bool
	kept      []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.recording {
		r.kept = append(r.kept, p...)
		return len(p), nil
	}
	return r.Conn.Write(p)
}

// pinger repeats a request and reads responses of a known length, without allocating.
type pinger struct {
	t        *testing.T
	conn     net.Conn
	requests [][]byte // sent in turn; the last one is repeated
	buf      []byte   // of a response's length
}

func (p *pinger) ping(times int) {
	for range times {
		if _, err := p.conn.Write(p.requests[0]); err != nil {
			p.t.Fatal(err)
		}
		if len(p.requests) > 1 {
			p.requests = p.requests[1:]
		}
		if _, err := io.ReadFull(p.conn, p.buf); err != nil {
			p.t.Fatal(err)
		}
	}
}

// mallocs counts the allocations of the whole process during a number of requests: the fewest of several times.
func (p *pinger) mallocs(times int) int {
	p.ping(pingsBefore)
	return servetest.FewestMallocs(func() { p.ping(times) })
}

// pingsBefore is the number of requests before those that mallocs counts.
const pingsBefore = 100

// response returns the bytes of the response to a request.
func response(t *testing.T, c net.Conn, request string) []byte {
	t.Helper()
	var all bytes.Buffer
	servetest.Send(t, c, request)
	servetest.Receive(t, bufio.NewReader(io.TeeReader(c, &all)))
	return all.Bytes()
}

// securePinger returns a pinger whose requests are TLS records made beforehand. overhead is the number of bytes
// in a record besides its content.
func securePinger(t *testing.T, s *servetest.Server, client *tls.Config, request string, times, overhead int) *pinger {
	t.Helper()
	r := &recorder{Conn: s.Dial()}
	c := servetest.Handshake(t, r, client)
	var n int
	for range 10 { // until records have their full size
		n = len(response(t, c, request))
	}
	p := &pinger{t: t, conn: r.Conn, buf: make([]byte, n+overhead)}
	r.recording = true
	for range times {
		servetest.Send(t, c, request)
		p.requests = append(p.requests, r.kept)
		r.kept = nil
	}
	return p
}

// poolsLose returns how many allocations per request sync.Pool causes with the race detector, which makes it drop
// some of its items.
func poolsLose() int {
	if built, ok := debug.ReadBuildInfo(); ok && slices.Contains(built.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 5
	}
	return 0
}

// After the handshake, a request over TLS 1.3 allocates no more than one over plain HTTP, and over TLS 1.2 only the
// 24 bytes that crypto/tls allocates for each record read.
func TestSecureRequestAllocatesNothing(t *testing.T) {
	spared := poolsLose()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			dir := withFile(t, 4096)
			const times = 200
			request := servetest.Get("/f")
			credentials, client := servetest.Credentials(t, nil)
			// The clock stands still, so that nothing that depends on it is rebuilt.
			still := func(cfg *serve.Config) {
				began := time.Now()
				cfg.Clock = func() (time.Time, time.Duration) { return began, time.Since(began) }
			}
			plain := servetest.Start(t, dir, e.run, still)
			c := plain.Dial()
			p := &pinger{t: t, conn: c, requests: [][]byte{[]byte(request)}, buf: make([]byte, len(response(t, c, request)))}
			base := p.mallocs(times)
			c.Close()
			plain.Stop()

			s := servetest.StartSecure(t, dir, e.run, credentials, still)
			defer s.Stop()
			for version, most := range map[uint16]int{tls.VersionTLS13: 0, tls.VersionTLS12: 1} {
				client := client.Clone()
				client.MaxVersion = version
				overhead := 5 + 1 + 16
				if version == tls.VersionTLS12 {
					overhead = 5 + 8 + 16
				}
				p := securePinger(t, s, client, request, pingsBefore+servetest.Rounds*times, overhead)
				got := p.mallocs(times) - base
				p.conn.Close()
				t.Logf("%s: %d allocations in %d requests, and %d over plain HTTP", tls.VersionName(version), got+base, times, base)
				if got > (most+spared)*times+times/20 {
					t.Errorf("%s: %d allocations more than over plain HTTP in %d requests", tls.VersionName(version), got, times)
				}
			}
		})
	}
}
