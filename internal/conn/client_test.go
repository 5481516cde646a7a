package conn

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"phalanx/internal/clientip"
)

func network(t *testing.T, list string) (all []clientip.Network) {
	t.Helper()
	for _, text := range clientip.SplitNetworks(list) {
		n, err := clientip.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func from(text string) *clientip.Addr {
	a := clientip.From(netip.AddrPortFrom(netip.MustParseAddr(text), 4711))
	return &a
}

// whose records the clients of exchanges, and the schemes that they used.
type whose struct{ seen []string }

func (w *whose) Received(x *Exchange) {}
func (w *whose) Decided(x *Exchange) {
	scheme := " http"
	if x.Secure {
		scheme = " https"
	}
	w.seen = append(w.seen, x.Client.Host()+scheme)
}
func (w *whose) Ended(x *Exchange) {}

// Each request on a trusted proxy's connection may be from another client. The same field
// from any other peer is ignored.
func TestTrustedProxies(t *testing.T) {
	raw := get("/a", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 7.7.7.7", "x-forwarded-for: 203.0.113.7, 10.0.0.2", "X-Forwarded-Proto: https, http") +
		get("/a", "Forwarded: for=203.0.113.8;proto=https") + get("/a", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http") + get("/a") +
		get("/a", "X-Forwarded-For: unknown", "X-Forwarded-Proto: ftp")
	for _, tt := range []struct{ field, peer, want string }{
		{"x-forwarded-for", "10.0.0.1", "203.0.113.7 https, 10.0.0.1 http, 203.0.113.9 http, 10.0.0.1 http, 10.0.0.1 http"},
		{"x-forwarded-for", "192.0.2.1", "192.0.2.1 http, 192.0.2.1 http, 192.0.2.1 http, 192.0.2.1 http, 192.0.2.1 http"},
		{"forwarded", "10.0.0.1", "10.0.0.1 http, 203.0.113.8 https, 10.0.0.1 http, 10.0.0.1 http, 10.0.0.1 http"},
		{"x-real-ip", "10.0.0.1", "7.7.7.7 https, 10.0.0.1 http, 10.0.0.1 http, 10.0.0.1 http, 10.0.0.1 http"},
	} {
		cfg := newConfig()
		cfg.Trust = &clientip.Trust{Networks: clientip.NewNetworks(network(t, "10.0.0.0/8")), Field: tt.field}
		w := &whose{}
		d := newDriver(t, cfg, w)
		d.conn.From(from(tt.peer))
		d.receive(raw)
		if got := strings.Join(w.seen, ", "); got != tt.want {
			t.Errorf("%s from %s:\n %s, want\n %s", tt.field, tt.peer, got, tt.want)
		}
	}
}

// The scheme that a client used with its proxy decides whether it is redirected to HTTPS.
func TestForwardedSchemeRedirects(t *testing.T) {
	for _, tt := range []struct {
		peer, scheme string
		secure       bool
		want         string
	}{
		{"10.0.0.1", "https", false, "200"},
		{"10.0.0.1", "http", false, "308"},
		{"10.0.0.1", "http", true, "308"},
		{"10.0.0.1", "", false, "308"},
		{"10.0.0.1", "", true, "200"},
		{"192.0.2.1", "https", false, "308"},
		{"192.0.2.1", "http", true, "200"},
	} {
		cfg := newConfig()
		cfg.SecurePort = 443
		cfg.Trust = &clientip.Trust{Networks: clientip.NewNetworks(network(t, "10.0.0.0/8")), Field: "x-forwarded-for"}
		d := newDriver(t, cfg, nil)
		d.conn.From(from(tt.peer))
		if tt.secure {
			d.conn.Secure()
		}
		fields := []string{"X-Forwarded-For: 203.0.113.7"}
		if tt.scheme != "" {
			fields = append(fields, "X-Forwarded-Proto: "+tt.scheme)
		}
		d.receive(get("/a", fields...))
		if got := string(d.reply); !strings.HasPrefix(got, "HTTP/1.1 "+tt.want) {
			t.Errorf("%+v: %.40q", tt, got)
		}
	}
}

// A client that is not admitted gets 403 for everything but the response to an ACME
// challenge. The connection stays open: the next request may be from another client.
func TestAccess(t *testing.T) {
	cfg := newConfig()
	cfg.Trust = &clientip.Trust{Networks: clientip.NewNetworks(network(t, "10.0.0.0/8")), Field: "x-forwarded-for"}
	cfg.Access = clientip.NewAccess(network(t, "203.0.113.0/24"), network(t, "203.0.113.7"))
	cfg.Challenges = map[string]string{"token": "key"}
	d := newDriver(t, cfg, nil)
	d.conn.From(from("10.0.0.1"))
	d.receive(get("/a", "X-Forwarded-For: 203.0.113.8") + get("/a", "X-Forwarded-For: 203.0.113.7") + get("/a") +
		get("/.well-known/acme-challenge/token", "X-Forwarded-For: 6.6.6.6") + request("PUT", "/a") + get("/a", "X-Forwarded-For: 203.0.113.9"))
	var got []string
	for _, m := range regexp.MustCompile(`HTTP/1\.1 (\d+) `).FindAllStringSubmatch(string(d.reply), -1) {
		got = append(got, m[1])
	}
	if all := strings.Join(got, " "); all != "200 403 403 200 403 200" {
		t.Errorf("statuses %s", all)
	}
}

// A connection is listed with the client of the request under way.
func TestViewNamesClient(t *testing.T) {
	cfg := newConfig()
	cfg.Trust = &clientip.Trust{Networks: clientip.NewNetworks(network(t, "10.0.0.0/8")), Field: "x-forwarded-for"}
	d := newDriver(t, cfg, nil)
	d.conn.From(from("10.0.0.1"))
	d.in = []byte(get("/big", "X-Forwarded-For: 203.0.113.7"))
	d.conn.Receive(d.in, d.now)
	d.once()
	if v := d.conn.View(); v.State != Sending || v.Client.Host() != "203.0.113.7" {
		t.Errorf("state %d of %v", v.State, v.Client)
	}
	d.pump()
	if v := d.conn.View(); v.State != Idle || v.Client.Known() {
		t.Errorf("state %d of %v", v.State, v.Client)
	}
}

// An unexpected PROXY header is reported as one.
func TestUnexpectedHeader(t *testing.T) {
	for _, header := range []string{"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x08\xc0\x00\x02\x01\x12\x67\x00\x50"} {
		var o observer
		d := newDriver(t, newConfig(), &o)
		d.receive(header + get("/a"))
		if len(o.records) != 1 || o.records[0] != (record{"", "", 400, pageLen("400 Bad Request"), 0, unannounced.Reason}) {
			t.Errorf("%q: %+v", header, o.records)
		}
	}
}
