package website

import (
	"bytes"
	"strings"
	"testing"

	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/proto"
)

// several opens sites with the given flags, in directories with these names that each contain a
// file of the same name.
func several(t *testing.T, args ...string) *Sites {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"base", "a", "b", "c"} {
		write(t, name+"/"+name, name)
	}
	o, err := options.CheckSites(parse(t, args...))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenSites(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var hosts = []string{
	"--site", "example.org,www.example.org=a", "--site", "*.example.org,192.0.2.1=b", "--site", "[2001:db8::1],*.deep.example.org=c",
}

// An exact name has precedence over a wildcard, which stands for one label. Case, a final dot
// and the form of an IPv6 address make no difference.
func TestNumber(t *testing.T) {
	s := several(t, append(hosts, "--base", "base")...)
	for host, want := range map[string]int{
		"example.org": 1, "EXAMPLE.Org": 1, "example.org.": 1, "www.example.org": 1,
		"x.example.org": 2, "X.example.ORG.": 2, "192.0.2.1": 2,
		"[2001:db8::1]": 3, "[2001:DB8:0:0::0:1]": 3, "[::1]": 0, "[v1.a]": 0, "[": 0, "[]": 0,
		"x.deep.example.org": 3, "deep.example.org": 2, "a.b.example.org": 0, ".example.org": 0,
		"": 0, ".": 0, "org": 0, "example.org..": 0, "example%2eorg": 0, "localhost": 0,
		strings.Repeat("a", 300) + ".example.org":                                                 0,
		strings.Repeat("a", options.MaxHost+1-len(".example.org")) + ".example.org":               2,
		strings.Repeat("a", options.MaxHost+len(".")-len(".example.org.")) + ".example.org" + ".": 2,
	} {
		if got := s.Number([]byte(host)); got != want {
			t.Errorf("%q has site %d, want %d", host, got, want)
		}
	}
}

// Connections get the site of a host, with its own directory.
func TestConfigure(t *testing.T) {
	s := several(t, append(hosts, "--base", "base")...)
	var cfg conn.Config
	s.Configure(&cfg, Uncached)
	for host, want := range map[string]string{"www.example.org": "a", "x.example.org": "b", "[2001:db8::1]": "c", "other": "base"} {
		files, number := cfg.Sites.Find([]byte(host))
		f, status := files.Open([]byte("/"+want), proto.Codings{}, new(proto.Access))
		if status != proto.StatusOK {
			t.Errorf("%s has the site %d, and %d for /%s", host, number, status, want)
			continue
		}
		f.Close()
	}
	host := []byte("X.example.org.")
	if n := testing.AllocsPerRun(100, func() { cfg.Sites.Find(host) }); n != 0 {
		t.Errorf("finding a site allocates %v times", n)
	}
}

// With --strict-host other hosts have no site.
func TestStrictHost(t *testing.T) {
	s := several(t, append(hosts, "--strict-host")...)
	var cfg conn.Config
	s.Configure(&cfg, Uncached)
	if cfg.Site != nil {
		t.Error("other hosts have a site")
	}
	for _, host := range []string{"", "other", "[::1]"} {
		if files, number := cfg.Sites.Find([]byte(host)); files != nil || number != 0 {
			t.Errorf("%q has the site %d", host, number)
		}
	}
	if files, _ := cfg.Sites.Find([]byte("example.org")); files == nil {
		t.Error("a site is missing")
	}
}

// A single site needs no lookup.
func TestOneSite(t *testing.T) {
	s := several(t, "--base", "base")
	var cfg conn.Config
	s.Configure(&cfg, Uncached)
	if cfg.Sites != nil || cfg.Site == nil || s.Names != nil {
		t.Errorf("%+v, %q", cfg, s.Names)
	}
}

// An error of a site names it.
func TestBadSite(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"good/index.html": "", "bad/_redirects": "/a\n/b\n", "good/_headers": ""} {
		write(t, name, text)
	}
	o := parse(t, "--base", "good", "--site", "a.org=good", "--site", "b.org=bad")
	s, err := OpenSites(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ReadRules(o); err == nil || !strings.HasPrefix(err.Error(), "site b.org: _redirects:1: ") || !strings.Contains(err.Error(), "\nsite b.org: _redirects:2: ") {
		t.Errorf("%v", err)
	}
	o = parse(t, "--base", "good", "--site", "b.org=bad", "--spa", "index.html")
	if _, err := OpenSites(o); err == nil || err.Error() != "--site b.org: --spa: fallback index.html: no such file or directory; name a file in the document root" {
		t.Errorf("%v", err)
	}
}

func BenchmarkNumber(b *testing.B) {
	s := &Sites{byHost: map[string]int{"www.example.org": 1, "example.com": 2}, beneath: map[string]int{".example.net": 3}}
	host := []byte("www.example.org")
	for b.Loop() {
		s.Number(host)
	}
}

// Any host that a client sends has a site, and the same one in upper case, in lower case and
// with a final dot.
func FuzzNumber(f *testing.F) {
	for _, host := range []string{"", "a.org", "x.a.org", "[::1]", "[::", "[", ".", "..", "x.", "\xff.a.org", "192.0.2.1"} {
		f.Add(host)
	}
	s := &Sites{byHost: map[string]int{}, beneath: map[string]int{}}
	for number, host := range []string{"", "a.org", "*.a.org", "[::1]", "192.0.2.1"} {
		if number > 0 {
			s.add(host, number)
		}
	}
	f.Fuzz(func(t *testing.T, host string) {
		number := s.Number([]byte(host))
		if number < 0 || number > 4 {
			t.Fatalf("%q has the site %d", host, number)
		}
		forms := []string{string(bytes.ToUpper([]byte(host))), string(bytes.ToLower([]byte(host)))}
		if len(host) < 200 && !strings.HasSuffix(host, ".") {
			forms = append(forms, host+".")
		}
		if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
			return // other letters have other cases, and other lengths
		}
		for _, form := range forms {
			if got := s.Number([]byte(form)); got != number {
				t.Errorf("%q has the site %d, and %q %d", host, number, form, got)
			}
		}
	})
}
