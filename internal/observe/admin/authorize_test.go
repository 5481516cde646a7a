package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"phalanx/internal/observe/status"
	"phalanx/internal/observe/token"
)

const secret token.Token = "0123456789abcdef"

// addressed is a connection with a local address, and nothing else.
type addressed struct {
	net.Conn
	at net.Addr
}

func (c addressed) LocalAddr() net.Addr { return c.at }

// TestAuthorized checks which clients are authorized, over which listener and with which token.
func TestAuthorized(t *testing.T) {
	outside, here, unix := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UnixAddr{Net: "unix"}
	right, wrong := secret.Field(), secret.Field()+"x"
	for _, c := range []struct {
		token     token.Token
		at        net.Addr
		path      string
		field     string
		ok, trust bool
	}{
		{"", outside, "/status", "", true, false},
		{"", outside, "/status", "Bearer ", true, false},
		{"", outside, "/status", right, true, false},
		{"", here, "/status", "", true, false},
		{"", unix, "/status", "", true, true},
		{secret, outside, "/status", "", false, false},
		{secret, outside, "/metrics", wrong, false, false},
		{secret, outside, "/nothing", "", false, false},
		{secret, outside, "/reload", "Basic eDp5", false, false},
		{secret, outside, "/status", right, true, true},
		{secret, outside, "/healthz", "", true, false},
		{secret, outside, "/readyz", "", true, false},
		{secret, outside, "/readyz", wrong, false, false},
		{secret, here, "/status", "", true, false},
		{secret, here, "/status", wrong, false, false},
		{secret, here, "/status", right, true, true},
		{secret, here, "/status", "Basic eDp5", true, false},
		{secret, unix, "/status", "", true, true},
		{secret, unix, "/status", wrong, true, true},
	} {
		s := newServer(Config{Token: func() token.Token { return c.token }}, ample)
		ctx := context.WithValue(withClient(t.Context(), &clientConn{Conn: addressed{at: c.at}}), http.LocalAddrContextKey, c.at)
		r := httptest.NewRequestWithContext(ctx, "GET", c.path, nil)
		if c.field != "" {
			r.Header.Set("Authorization", c.field)
		}
		w := httptest.NewRecorder()
		if got := s.authorized(w, r); got != c.ok || got == (w.Code == http.StatusUnauthorized) || !got && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%+v: %v, %d", c, got, w.Code)
		}
		if got := s.privileged(r); got != c.trust {
			t.Errorf("%+v: trusted %v", c, got)
		}
		if strings.Contains(w.Body.String(), string(secret)) {
			t.Errorf("the response contains the token: %s", w.Body)
		}
	}
}

// TestTrust requests what only operators may see, over each of the two listeners.
func TestTrust(t *testing.T) {
	s := start(t, ample)
	s.cfg.Token = func() token.Token { return secret }
	s.pool.list = status.Connections{Slot: 1, PID: 4712, Total: 1, Connections: []status.Connection{{Client: "192.0.2.1:5", State: status.ConnSending, Line: "GET /a?key=x"}}}
	s.pool.pool.Workers[0].Oldest = &status.Request{Line: "GET /a?key=x"}
	for _, c := range []struct {
		where, field string
		shown        bool
	}{{s.tcp, "", false}, {s.tcp, secret.Field(), true}, {s.unix, "", true}} {
		for _, target := range []string{"/connections?slot=1&pid=4712", "/status.json", "/status"} {
			fields := []string{"Accept", "text/html"}
			if c.field != "" {
				fields = append(fields, "Authorization", c.field)
			}
			w, body := do(t, client(c.where), "GET", target, fields...)
			if w.StatusCode != 200 || strings.Contains(body, "key=x") != c.shown || !c.shown && strings.Contains(body, "192.0.2.1") || !strings.Contains(body, "GET /a") {
				t.Errorf("%s at %s with %q: %s, %s", target, c.where, c.field, w.Status, body)
			}
		}
	}
}
