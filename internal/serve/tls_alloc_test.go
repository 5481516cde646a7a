package serve_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"phalanx/internal/serve"
	"phalanx/internal/serve/servetest"
)

// recorder is a connection that can keep what is written instead of sending it.
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

// pinger sends one request again and again and takes the bytes of each response as they
// come, without allocating.
type pinger struct {
	t        *testing.T
	conn     net.Conn
	requests [][]byte // one after the other; the last is repeated
	buf      []byte   // as long as a response
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

// mallocs counts the allocations of the whole process during some requests.
func (p *pinger) mallocs(times int) int {
	p.ping(100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.ping(times)
	runtime.ReadMemStats(&after)
	return int(after.Mallocs - before.Mallocs)
}

// response returns all the bytes of the response to a request.
func response(t *testing.T, c net.Conn, request string) []byte {
	t.Helper()
	var all bytes.Buffer
	servetest.Send(t, c, request)
	servetest.Receive(t, bufio.NewReader(io.TeeReader(c, &all)))
	return all.Bytes()
}

// securePinger is one whose requests are records, made before. overhead is how many bytes
// a record has beside its content.
func securePinger(t *testing.T, s *servetest.Server, client *tls.Config, request string, times, overhead int) *pinger {
	t.Helper()
	r := &recorder{Conn: s.Dial()}
	c := servetest.Handshake(t, r, client)
	var n int
	for range 10 { // records grow to their full length
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

// poolsLose is how many allocations of a request the race detector's pools cause: they do
// not give everything back.
func poolsLose() int {
	if built, ok := debug.ReadBuildInfo(); ok && slices.Contains(built.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 5
	}
	return 0
}

// Once the handshake is done, a request over TLS 1.3 allocates nothing more than one in
// the clear, and over TLS 1.2 the 24 bytes of crypto/tls for each record that it reads.
func TestSecureRequestAllocatesNothing(t *testing.T) {
	spared := poolsLose()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			dir := t.TempDir()
			servetest.Noise(t, filepath.Join(dir, "f"), 4096)
			const times = 1000
			request := servetest.Get("/f")
			credentials, client := servetest.Credentials(t, nil)
			// Nothing of the clock's is made anew.
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
				p := securePinger(t, s, client, request, times+100, overhead)
				got := p.mallocs(times) - base
				p.conn.Close()
				t.Logf("%s: %d allocations in %d requests, %d of them in the clear", tls.VersionName(version), got+base, times, base)
				if got > (most+spared)*times+times/20 {
					t.Errorf("%s: %d allocations more than in the clear, in %d requests", tls.VersionName(version), got, times)
				}
			}
		})
	}
}
