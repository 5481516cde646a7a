package load

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secureServer responds to each request with size bytes.
func secureServer(t *testing.T, size int) string {
	body := strings.Repeat("x", size)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestHandshakes(t *testing.T) {
	h := Handshakes{Address: secureServer(t, 100), Path: "/", Clients: 3}
	for _, h.Resumed = range []bool{false, true} {
		patiently(t, 300*time.Millisecond, func(last time.Duration) error {
			h.Last = last
			n, err := h.Run(t.Context())
			if n < 3 || err != nil {
				return fmt.Errorf("resumed %v: %d requests, %v", h.Resumed, n, err)
			}
			return nil
		})
	}
	h.Last = 300 * time.Millisecond
	h.Address = accepting(t, func(c net.Conn, _ int) { c.Close() })
	if _, err := h.Run(t.Context()); err == nil {
		t.Error("no error from a server that closes each connection")
	}
}

func TestSecureIdle(t *testing.T) {
	if held := Idle(t.Context(), secureServer(t, 10_000), "/", 5, true, func() {}); held != 5 {
		t.Errorf("%d connections held, want 5", held)
	}
}

func TestWholeSecure(t *testing.T) {
	const size = 3 << 20
	w := Crowd{Address: secureServer(t, size), Path: "/", Clients: 1, Last: time.Minute}
	if n, err := w.WholeSecure(t.Context()); err != nil || n < size || n > size+size/20 {
		t.Errorf("%d bytes of %d in records, %v", n, size, err)
	}
}
