package conn

import (
	"strings"
	"testing"

	"phalanx/internal/proto"
)

// namedSites are sites by their hosts, numbered in the order of names.
type namedSites struct {
	names []string
	sites []*fakeSite
	asked int
	found *fakeSite // and not done; nil: none
}

func (s *namedSites) Find(host []byte) (Site, int) {
	s.asked++
	for i, name := range s.names {
		if name == string(host) {
			s.found = s.sites[i]
			return s.sites[i], i
		}
	}
	return nil, 0
}

func (s *namedSites) Done(site Site, number int) {
	if site != Site(s.found) || s.sites[number] != s.found {
		panic("another site than was found")
	}
	s.found = nil
}

// severalSites returns a configuration with the sites one.example and two.example, whose
// pages differ, and none for other hosts.
func severalSites() (*Config, *namedSites) {
	all := &namedSites{names: []string{"one.example", "two.example"}}
	for _, name := range all.names {
		s := newFakeSite()
		s.files["/a"].data = "of " + name
		s.page = "/a"
		all.sites = append(all.sites, s)
	}
	cfg := newConfig()
	cfg.Site, cfg.Sites = nil, all
	return cfg, all
}

// to returns a request for a path of a host.
func to(host, target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
}

// The host of a request selects the site. That of an absolute target has precedence over
// Host (RFC 9112 §3.2.2). Error pages are those of the site.
func TestSites(t *testing.T) {
	for _, test := range []struct {
		raw  string
		want string // status and the end of the content
	}{
		{to("one.example", "/a"), "200 OK…of one.example"},
		{to("two.example:8080", "/a"), "200 OK…of two.example"},
		{to("one.example", "http://two.example/a"), "200 OK…of two.example"},
		{to("two.example", "/none"), "404 Not Found…of two.example"},
		{to("three.example", "/a"), "421 Misdirected Request…</main>\n"},
		{to("", "/a"), "421 Misdirected Request…</main>\n"},
		{"GET /a HTTP/1.0\r\n\r\n", "421 Misdirected Request…</main>\n"},
		{"OPTIONS * HTTP/1.1\r\nHost: three.example\r\n\r\n", "421 Misdirected Request…</main>\n"},
		{"BREW / HTTP/1.1\r\nHost: three.example\r\n\r\n", "421 Misdirected Request…</main>\n"},
		{"GET / HTTP/1.1\r\n\r\n", "400 Bad Request…</main>\n"},
	} {
		cfg, _ := severalSites()
		reply := answerTo(cfg, test.raw)
		status, end, _ := strings.Cut(test.want, "…")
		if !strings.HasPrefix(reply, "HTTP/1.1 "+status+"\r\n") || !strings.HasSuffix(reply, end) {
			t.Errorf("%q:\n%s\nwant %s", test.raw, reply, test.want)
		}
	}
}

// An exchange looks up its site once, and the next one on the same connection does again.
func TestSiteOfAnExchange(t *testing.T) {
	cfg, all := severalSites()
	obs := &siteObserver{}
	d := newDriver(t, cfg, obs)
	for i, raw := range []string{to("two.example", "/none"), to("one.example", "/a"), to("none.example", "/a")} {
		if all.asked = 0; !d.receive(raw) || all.asked != 1 {
			t.Fatalf("request %d: %d lookups of the site, the connection ends with %v", i, all.asked, d.step)
		}
	}
	if want := [3]int{1, 0, 0}; obs.seen != want {
		t.Errorf("the observer has seen the sites %v, want %v", obs.seen, want)
	}
	if all.found != nil {
		t.Error("the site was not told that the exchange ended")
	}
	for i, s := range all.sites {
		if s.open != 0 {
			t.Errorf("site %d has %d files open", i, s.open)
		}
	}
}

// siteObserver records the number of each exchange's site.
type siteObserver struct {
	counter
	seen [3]int
	n    int
}

func (o *siteObserver) Ended(x *Exchange) {
	o.seen[o.n] = x.Site
	o.n++
}

// A host without a site is not redirected to HTTPS.
func TestUnknownHostInClear(t *testing.T) {
	cfg, _ := severalSites()
	cfg.SecurePort = 443
	if reply := answerTo(cfg, to("three.example", "/a")); !strings.HasPrefix(reply, string(proto.AppendStatusLine(nil, proto.StatusMisdirectedRequest))) {
		t.Errorf("%s", reply)
	}
	if reply := answerTo(cfg, to("one.example", "/a")); !strings.Contains(reply, "Location: https://one.example/a\r\n") {
		t.Errorf("%s", reply)
	}
}

// A download continues in a worker that no longer has a site for its host, or has another
// number for the site.
func TestMoveToOtherSites(t *testing.T) {
	cfg, all := severalSites()
	d := newDriver(t, cfg, nil)
	d.piece = 1000
	d.in = append(d.in, to("two.example", "/big")...)
	d.conn.Receive(d.in, d.now)
	for n := 0; d.once() && d.step != Read; n++ {
		if d.step == Send && n < 3 {
			all.names = [][]string{{"zero.example", "one.example", "two.example"}, {"one.example"}, {"two.example"}}[n]
			all.sites = append(all.sites, all.sites[0])[:3]
			d.move(cfg, nil)
		}
	}
	if d.step != Read || !strings.HasSuffix(string(d.reply), bigData) {
		t.Errorf("step %v, %d bytes", d.step, len(d.reply))
	}
}
