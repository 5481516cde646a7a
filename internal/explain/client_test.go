package explain

import (
	"strings"
	"testing"
	"time"

	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// The report explains the client's address: who named it, and which network decides.
func TestClientSteps(t *testing.T) {
	o, err := options.Start{Name: "master", Args: []string{"--trusted-proxies", "10.0.0.0/8", "--allow", "192.0.2.0/24", "--deny", "192.0.2.7"}, Getenv: func(string) string { return "" }}.Options()
	if err != nil {
		t.Fatal(err)
	}
	dir := plant(t)
	for _, tt := range []struct {
		from, named string
		status      string
		want        []string
	}{
		{"192.0.2.1", "", "200", []string{"192.0.2.1 is not a trusted proxy", "192.0.2.1 is admitted by --allow 192.0.2.0/24"}},
		{"192.0.2.7", "192.0.2.1", "403", []string{"192.0.2.7 is not a trusted proxy", "192.0.2.7 is refused by --deny 192.0.2.7"}},
		{"10.0.0.1", "192.0.2.1", "200", []string{"the trusted proxy 10.0.0.1 names the client 192.0.2.1"}},
		{"10.0.0.1", "", "403", []string{"the trusted proxy 10.0.0.1 names no client", "10.0.0.1 is refused: it is in no network of --allow"}},
		{"", "", "403", []string{"The client is 127.0.0.1; choose another with --from.", "127.0.0.1 is refused"}},
	} {
		var fields []string
		if tt.named != "" {
			fields = []string{"X-Forwarded-For: " + tt.named}
		}
		r := asking(t, "GET", "/a%20b.txt", fields...)
		r.From, _ = clientip.Parse(tt.from)
		cfg, root := open(t, dir, func(_ *site.Policy, c *conn.Config) { c.Trust, c.Access = o.Trust(), o.Access() })
		text := reportOf(t, cfg, []*site.Root{root}, r, time.Now()).String()
		for _, want := range append(tt.want, "HTTP/1.1 "+tt.status) {
			if !strings.Contains(text, want) {
				t.Errorf("from %q, named %q: no %q in\n%s", tt.from, tt.named, want, text)
			}
		}
	}
}

// A request over a unix socket is not redirected to HTTPS.
func TestUnixSocketBesideHTTPS(t *testing.T) {
	for from, want := range map[string]proto.Status{"192.0.2.1": proto.StatusPermanentRedirect, "unix": proto.StatusOK} {
		cfg, root := open(t, plant(t), https)
		r := asking(t, "GET", "http://example.org/a%20b.txt")
		r.From, _ = clientip.Parse(from)
		if report := reportOf(t, cfg, []*site.Root{root}, r, fixed); report.Status != want {
			t.Errorf("from %s: status %d, want %d", from, report.Status, want)
		}
	}
}
