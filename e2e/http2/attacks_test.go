package http2

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"phalanx/e2e/harness"
)

// page is the header block of GET https://x.test/a.txt. It leaves the HPACK table unchanged.
const page = "\x82\x87\x04\x06/a.txt\x01\x06x.test"

// attacker writes any frames it likes.
type attacker struct {
	*http2.Framer
	next  uint32 // stream ID
	block []byte // the header block of its requests
}

// request opens a stream. end says whether the request has no content.
func (a *attacker) request(end bool) uint32 {
	a.next += 2
	a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.next, BlockFragment: a.block, EndHeaders: true, EndStream: end})
	return a.next
}

// attacks are repeated round by round until the server ends the connection.
var attacks = []struct {
	reason string // the label of the counter
	round  func(a *attacker)
}{
	{"resets", func(a *attacker) { a.WriteRSTStream(a.request(true), http2.ErrCodeCancel) }},
	{"stream_errors", func(a *attacker) { a.WriteWindowUpdate(a.request(false), 0) }},
	{"continuations", func(a *attacker) {
		if a.next == 1 {
			a.next = 3
			a.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: a.block})
		}
		a.WriteContinuation(3, false, nil)
	}},
	{"header_lists", func(a *attacker) {
		a.next += 2
		// An HPACK bomb: one field of 4,000 bytes in the table, referred to again and again.
		block := append(bytes.Clone(a.block), strings.Repeat("\xbe", 8000)...)
		if a.next == 3 {
			block = append(bytes.Clone(a.block), "\x40\x04bomb\x7f\xa1\x1e"+strings.Repeat("x", 4000)...)
		}
		a.WriteHeaders(http2.HeadersFrameParam{StreamID: a.next, BlockFragment: block, EndHeaders: true, EndStream: true})
	}},
	{"settings", func(a *attacker) { a.WriteSettings() }},
	{"pings", func(a *attacker) { a.WritePing(false, [8]byte{}) }},
	{"data", func(a *attacker) {
		if a.next == 1 {
			a.request(false)
		}
		a.WriteData(a.next, false, nil)
	}},
	{"windows", func(a *attacker) { a.WriteWindowUpdate(0, 1) }},
	{"priorities", func(a *attacker) { a.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x05u=1")) }},
	{"frames", func(a *attacker) { a.WriteRawFrame(0xbb, 0, 0, nil) }},
}

// TestAttacks checks that each attack ends with GOAWAY and ENHANCE_YOUR_CALM and is counted by its
// reason, while another client is served. A protocol error and a frame that is never completed are
// counted as well; TestHTTP2StalledIsCounted covers a client that reads nothing.
func TestAttacks(t *testing.T) {
	t.Parallel()
	base, _ := website(t, 1000)
	for _, way := range []string{overTLS, inClear} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			path := harness.SocketPath(t)
			s := serve(t, base, way, "--workers", "1", "--admin", path, "--keepalive", "5m")
			admin := harness.EndpointAt(t, path)
			visitor := newClient(t, 2)
			counted := func(reason string) {
				counter := fmt.Sprintf("http2_connections_ended_total{reason=%q,slot=\"0\"} 1\n", reason)
				harness.Await(t, 20*time.Second, counter, func() bool {
					_, metrics, err := admin.Ask("GET", "/metrics")
					return err == nil && strings.Contains(metrics, counter)
				})
			}
			slow, wrong := newFrameConn(t, s, way), newFrameConn(t, s, way)
			if _, err := slow.under.Write([]byte{0, 0, 8, byte(http2.FramePing)}); err != nil { // half a header
				t.Fatal(err)
			}
			wrong.WriteRawFrame(http2.FramePushPromise, 0, 2, make([]byte, 4))
			wrong.awaitEnd()
			counted("protocol_error")
			for _, attack := range attacks {
				code, err := ended(t, s, way, attack.round)
				if err != nil || code != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("%s: GOAWAY with %v, error %v; want ENHANCE_YOUR_CALM", attack.reason, code, err)
				}
				if r, body, err := visitor.get(s.URL("/a.txt")); err != nil || r.StatusCode != 200 || len(body) != 10 {
					t.Errorf("%s: another client got %v, error %v; want 200 with 10 bytes", attack.reason, r, err)
				}
				counted(attack.reason)
			}
			slow.awaitEnd() // after its timeout of ten seconds
			counted("slow")
			if n := visitor.dialed.Load(); n != 1 {
				t.Errorf("the other client needed %d connections, want 1", n)
			}
		})
	}
}

// ended attacks until the connection ends, and returns the code of the last GOAWAY.
func ended(t *testing.T, s *harness.Server, way string, round func(*attacker)) (code http2.ErrCode, err error) {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
	if err != nil {
		t.Fatal(err)
	}
	if way == overTLS {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	var frames bytes.Buffer
	a := &attacker{http2.NewFramer(&frames, c), 1, []byte(page)}
	frames.WriteString(http2.ClientPreface)
	a.WriteSettings()
	written := make(chan struct{})
	go func() {
		defer close(written)
		for err := error(nil); err == nil; {
			for range 50 {
				round(a)
			}
			_, err = c.Write(frames.Bytes())
			frames.Reset()
		}
	}()
	defer func() {
		c.Close()
		<-written
	}()
	for {
		f, err := a.ReadFrame()
		if err != nil && code != http2.ErrCodeNo {
			return code, nil // it may end in any way after GOAWAY, because the attack continues
		}
		if err != nil {
			return code, err
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			code = f.ErrCode
		}
	}
}
