package http2

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"phalanx/e2e/harness"
)

// TestStreamsDoNotExhaustDescriptors opens more streams for files than a worker may have open
// descriptors, and reads none of them: other clients are accepted and served.
func TestStreamsDoNotExhaustDescriptors(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"a.txt": "0123456789"})
	for i := range 400 {
		harness.Sparse(t, filepath.Join(base, fmt.Sprint(i)), 1<<20)
	}
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			s := harness.ServeAs(t, harness.Plan{
				Before: []string{"sh", "-c", `ulimit -n 300; exec "$0" "$@"`},
				Args:   []string{"--base", base, "--listen", "http://127.0.0.1:0", "--workers", "1", "--engine", engine, "-v"},
			})
			for i := range 4 {
				c := s.Dial()
				var text bytes.Buffer
				text.WriteString(http2.ClientPreface)
				f := http2.NewFramer(&text, c.In)
				f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for n := range 100 {
					var block bytes.Buffer
					e := hpack.NewEncoder(&block)
					for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x.test"}, {":path", fmt.Sprint("/", 100*i+n)}} {
						e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
					}
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
				}
				s.MustSend(c, text.String())
				// Wait for the response to the first request of each connection.
				c.SetReadDeadline(time.Now().Add(30 * time.Second))
				for answered := false; !answered; {
					frame, err := f.ReadFrame()
					if err != nil {
						t.Fatalf("connection %d: %v", i, err)
					}
					answered = frame.Header().Type == http2.FrameHeaders
				}
			}
			for _, path := range []string{"/a.txt", "/399"} {
				c := s.Dial()
				c.SetReadDeadline(time.Now().Add(30 * time.Second))
				s.MustSend(c, harness.Request("GET", path, "Connection: close"))
				if r, err := c.Reply("GET"); err != nil || r.Status != 200 {
					t.Errorf("%s: %v, error %v; want 200", path, r, err)
				}
			}
		})
	}
}
