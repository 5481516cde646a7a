package options

import (
	"slices"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for v, want := range map[string]string{
		"www.example.org": "www.example.org", "A.test, b.test.": "a.test,b.test", "intranet": "intranet", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"1a.test": "1a.test",
	} {
		var h Hosts
		if err := h.UnmarshalFlag(v); err != nil || string(h) != want {
			t.Errorf("%q: %q, %v", v, h, err)
		}
	}
	for v, cure := range map[string]string{
		"": "must be the name of a host", "a,,b": "must be the name", "a b": "must be the name", "-a.test": "must be the name", "a_b.test": "must be the name",
		strings.Repeat("a", 64) + ".test": "must be the name", strings.Repeat("a.", 124) + "test": "must be the name", "a..b": "must be the name",
		"*.example.org": "a wildcard needs DNS-01", "https://a.test": "without scheme", "a.test:443": "without scheme", "../../etc/passwd": "without scheme",
		"[::1]": "without scheme", "192.0.2.1": "an address has no certificate", "bücher.example": "in ASCII",
	} {
		var h Hosts
		if err := h.UnmarshalFlag(v); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%q: %v, want %s", v, err, cure)
		}
	}
}

func TestACMEValues(t *testing.T) {
	for v, ok := range map[string]bool{
		"admin@example.org": true, "mailto:a+b@example.org": true, "admin": false, "@example.org": false, "a@b@c": false, "a@b.test,c@d.test": false, "a@": false,
	} {
		var e Email
		if err := e.UnmarshalFlag(v); (err == nil) != ok {
			t.Errorf("email %q: %v", v, err)
		}
	}
	for v, ok := range map[string]bool{
		"https://ca.test/dir": true, "https://127.0.0.1:14000/dir": true, "http://ca.test/dir": false, "https://": false, "https:///x": false, "ca.test": false,
	} {
		var d Directory
		if err := d.UnmarshalFlag(v); (err == nil) != ok {
			t.Errorf("directory %q: %v", v, err)
		}
	}
}

func TestACMEOptions(t *testing.T) {
	parse := func(args string) (Options, error) {
		return parseMaster(strings.Fields(args), func(string) string { return "" })
	}
	o, err := parse("--listen https://:443 --state /s --acme a.test,b.test --acme B.test --acme c.test")
	if got := o.Hosts(); err != nil || !slices.Equal(got, []string{"a.test", "b.test", "c.test"}) {
		t.Errorf("%q, %v", got, err)
	}
	for args, want := range map[string]string{
		"--listen https://:443 --acme a.test":           "--acme a.test: needs a place to keep keys and certificates; add --state DIR",
		"--listen http://:80 --state /s --acme a.test":  "--acme: no HTTPS address; add --listen https://:443",
		"--acme-email a@b.test":                         "--acme-email, --acme-directory, --acme-profile, --acme-eab: have no effect without --acme; name the hosts with --acme HOST",
		"--listen https://:443 --acme * --state /state": "--acme *: must be the name of a host",
	} {
		if _, err := parse(args); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	for args, want := range map[string]Dir{"": "/var/lib/phalanx", "--acme=a.test --listen=https://:443 --state=/s": "/s"} {
		o, err := parseMaster(strings.Fields(args), func(name string) string {
			return map[string]string{"STATE_DIRECTORY": "/var/lib/phalanx:/var/lib/other"}[name]
		})
		if err != nil || o.State != want {
			t.Errorf("%q under systemd: %q, %v", args, o.State, err)
		}
	}
	first := Options{ACME: []Hosts{"a.test"}}
	if got := NeedsRestart(Options{}, first); got != "acme" {
		t.Errorf("the first host: %q", got)
	}
	if got := NeedsRestart(first, Options{ACME: []Hosts{"a.test,b.test"}}); got != "" {
		t.Errorf("another host: %q", got)
	}
}
