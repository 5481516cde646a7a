package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"phalanx/internal/observe/status"
)

const contents = "not found; GET /status, /status.json, /metrics, /connections, /healthz, /readyz, or POST on the unix socket /reload, /stop, /scale\n"

func TestAnswers(t *testing.T) {
	s := start(t, ample)
	s.pool.list = status.Connections{Slot: 1, PID: 4712, Total: 1, Connections: []status.Connection{{Client: "192.0.2.1:5", State: status.ConnSending}}}
	for _, test := range []struct {
		method, target string
		code           int
		kind, body     string // the beginning
	}{
		{"GET", "/", 302, "text/plain", "see /status\n"},
		{"GET", "/status", 200, "application/json", `{"version":"1.4.0",`},
		{"GET", "/status.json", 200, "application/json", `{"version":"1.4.0",`},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4", "# HELP phalanx_accept_queue_length "},
		{"GET", "/healthz", 200, "text/plain", "serving\n"},
		{"GET", "/readyz?x=y", 200, "text/plain", "serving\n"},
		{"HEAD", "/status", 200, "application/json", ""},
		{"HEAD", "/metrics", 200, "text/plain", ""},
		{"GET", "/connections?slot=1&pid=4712", 200, "application/json", `{"slot":1,"pid":4712,"total":1,"connections":[{"client":"`}, // see TestTrust
		{"GET", "/connections?slot=1&pid=4713", 404, "text/plain", "no worker with slot 1 and pid 4713; see /status.json\n"},
		{"GET", "/connections", 400, "text/plain", `/connections?slot="": must be a number from 0 to 2147483647` + "\n"},
		{"GET", "/connections?slot=-1&pid=1", 400, "text/plain", `/connections?slot="-1": must be a number`},
		{"GET", "/connections?slot=1&pid=0", 400, "text/plain", `/connections?pid="0": must be a number from 1 to 2147483647`},
		{"GET", "/connections?slot=1&pid=9999999999", 400, "text/plain", `/connections?pid="9999999999": must be a number`},
		{"GET", "/connections?slot=%0a1&pid=1", 400, "text/plain", `/connections?slot="\n1": must be a number`},
		{"GET", "/nothing", 404, "text/plain", contents},
		{"GET", "/status/", 404, "text/plain", contents},
		{"GET", "//status", 404, "text/plain", contents},
		{"POST", "/status", 405, "text/plain", "/status allows only GET and HEAD\n"},
		{"DELETE", "/metrics", 405, "text/plain", "/metrics allows only GET and HEAD\n"},
		{"OPTIONS", "/healthz", 405, "text/plain", "/healthz allows only GET and HEAD\n"},
	} {
		for _, where := range []string{s.tcp, s.unix} {
			reply, body := do(t, client(where), test.method, test.target)
			if reply.StatusCode != test.code || !strings.HasPrefix(reply.Header.Get("Content-Type"), test.kind) || !strings.HasPrefix(body, test.body) {
				t.Errorf("%s %s: %s, %s, %.200q", test.method, test.target, reply.Status, reply.Header.Get("Content-Type"), body)
			}
			if reply.Header.Get("Cache-Control") != "no-store" || reply.Header.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.HasPrefix(reply.Header.Get("Content-Security-Policy"), "default-src 'none'; ") {
				t.Errorf("%s %s: the head is %v", test.method, test.target, reply.Header)
			}
			if reply.StatusCode == 405 && reply.Header.Get("Allow") != "GET, HEAD" || reply.StatusCode == 302 && reply.Header.Get("Location") != "status" {
				t.Errorf("%s %s: the head is %v", test.method, test.target, reply.Header)
			}
		}
	}
	s.pool.set(func(f *fakePool) { f.listed = errors.New("no answer for 1 s") })
	get(t, client(s.tcp), "GET", "/connections?slot=1&pid=4712", 503)
	if lines := s.lines(); len(lines) != 0 {
		t.Errorf("logged: %q", lines)
	}
}

func TestReadiness(t *testing.T) {
	s := start(t, ample)
	for state, code := range map[string]int{status.Starting: 503, status.Serving: 200, status.LameDuck: 503, status.Draining: 503} {
		s.pool.set(func(f *fakePool) { f.pool.State, f.pool.Ready = state, state == status.Serving })
		if got := get(t, client(s.tcp), "GET", "/readyz", code); got != state+"\n" {
			t.Errorf("%s: %q", state, got)
		}
		get(t, client(s.tcp), "GET", "/healthz", 200)
	}
}

// When the pool's loop does not respond, no old state is shown.
func TestPoolDoesNotAnswer(t *testing.T) {
	s := start(t, ample)
	s.pool.set(func(f *fakePool) { f.err = errors.New("no answer for 2 s") })
	for _, target := range []string{"/status", "/status.json", "/metrics", "/healthz", "/readyz"} {
		reply, body := do(t, client(s.unix), "GET", target, "Accept", "text/html")
		if reply.StatusCode != 503 || body != "the pool did not respond: no answer for 2 s\n" || reply.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %q", target, reply.Status, body)
		}
	}
}

func TestOrders(t *testing.T) {
	s := start(t, ample)
	for _, order := range []string{"/reload", "/stop", "/scale?workers=3"} {
		for _, method := range []string{"POST", "GET"} {
			if got := get(t, client(s.tcp), method, order, 403); got != "reload, stop and scale are accepted only on a unix socket; start the server with --admin PATH\n" {
				t.Errorf("%s over TCP: %q", order, got)
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT"} {
			reply, _ := do(t, client(s.unix), method, order)
			if reply.StatusCode != 405 || reply.Header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %s", method, order, reply.Status)
			}
		}
		if s.pool.scaled != 0 {
			t.Fatal("the order was executed nevertheless")
		}
	}
	for order, want := range map[string]string{"/reload": "reloaded", "/stop": "stopping", "/scale?workers=3": "scaled"} {
		if got := get(t, client(s.unix), "POST", order, 200); got != `{"ok":true,"message":"`+want+"\"}\n" {
			t.Errorf("%s: %q", order, got)
		}
	}
	if s.pool.scaled != 3 {
		t.Errorf("scaled to %d", s.pool.scaled)
	}
	for _, n := range []string{"", "0", "-1", "3x", "1e3", "99999999999"} {
		get(t, client(s.unix), "POST", "/scale?workers="+n, 400)
	}
	s.pool.order = func(context.Context) status.Outcome { return status.Outcome{Message: "the new binary is missing"} }
	if got := get(t, client(s.unix), "POST", "/reload", 409); got != `{"ok":false,"message":"the new binary is missing"}`+"\n" {
		t.Errorf("%q", got)
	}
}

// An order may take longer than other requests. It is cancelled when its client disconnects.
func TestOrderTakesItsTime(t *testing.T) {
	s := start(t, short)
	begun, gone := make(chan bool, 2), make(chan bool, 1) // for two orders
	s.pool.order = func(ctx context.Context) status.Outcome {
		begun <- true
		select {
		case <-ctx.Done():
			gone <- true
			return status.Outcome{Message: "given up"}
		case <-time.After(3 * short.read):
			return status.Outcome{OK: true}
		}
	}
	get(t, client(s.unix), "POST", "/reload", 200)
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	r, err := http.NewRequestWithContext(ctx, "POST", "http://localhost/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client(s.unix).Do(r); err == nil {
		t.Error("the request has a response")
	}
	<-gone
}

func TestNegotiation(t *testing.T) {
	s := start(t, ample)
	for accept, page := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "text/html": true, "Text/HTML ; q=0.1": true, "text/html;q=0": false, "text/html;q=x": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"application/json, text/html":                                     false,
		"text/html, application/json":                                     true,
		"application/json;q=0.5, text/html":                               true,
		"text/html;q=0.5, application/json":                               false,
	} {
		reply, body := do(t, client(s.tcp), "GET", "/status", "Accept", accept)
		if strings.HasPrefix(body, "<!DOCTYPE html>") != page || reply.Header.Get("Vary") != "Accept" ||
			page != (reply.Header.Get("Content-Security-Policy") == s.page.policy) {
			t.Errorf("%q: %s %v", accept, reply.Header.Get("Content-Type"), reply.Header["Vary"])
		}
	}
	if _, body := do(t, client(s.tcp), "GET", "/status.json", "Accept", "text/html"); body[0] != '{' {
		t.Errorf("%.20q", body)
	}
	if reply, _ := do(t, client(s.tcp), "GET", "/status", "Accept", "application/json;q=0.2", "Accept", "text/html"); !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/html") {
		t.Error("the second line counts as well")
	}
}

// The response to any target is one line.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/", "/connections?slot=1&pid=%zz", "/\xff\x1b[2J", "/scale?workers=1&workers=2", "*"} {
		f.Add(seed)
	}
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	s := New(Config{Source: &fakePool{pool: samplePool()}})
	s.Serve(l)
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, target string) {
		c := dial(t, l.Addr().String())
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target)
		reply, err := io.ReadAll(c)
		if err == nil && !strings.HasPrefix(string(reply), "HTTP/1.1 ") {
			t.Errorf("%q: %.200q", target, reply)
		}
	})
}

// A foreign host name, which may resolve to this address (DNS rebinding), is refused over the
// loopback interface, and nowhere else.
func TestTrusted(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST.:9090": true, "127.0.0.1:9090": true, "[::1]:9090": true, "::1": true, "192.0.2.1": true,
		"evil.example": false, "evil.example:9090": false, "localhost.evil.example": false, "": true, "127.0.0.1.evil.example": false,
	} {
		for _, where := range []struct {
			local net.Addr
			want  bool
		}{
			{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, want},
			{&net.TCPAddr{IP: net.IPv6loopback}, want},
			{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, true},
			{&net.UnixAddr{Name: "/run/x"}, true},
		} {
			r, err := http.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, where.local), "GET", "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			if got := hostAllowed(r); got != where.want {
				t.Errorf("Host %q over %v: %v, want %v", host, where.local, got, where.want)
			}
		}
	}
}
