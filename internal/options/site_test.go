package options

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestSite(t *testing.T) {
	for v, want := range map[string]Site{
		"www.Example.ORG=/srv/a":        {[]string{"www.example.org"}, "/srv/a"},
		"example.org., a.example.org=d": {[]string{"example.org", "a.example.org"}, "d"},
		"*.example.org=a=b":             {[]string{"*.example.org"}, "a=b"},
		"localhost=/":                   {[]string{"localhost"}, "/"},
		"my_app=.":                      {[]string{"my_app"}, "."},
		"192.0.2.1=x":                   {[]string{"192.0.2.1"}, "x"},
		"[2001:DB8:0:0::1]=x":           {[]string{"[2001:db8::1]"}, "x"},
		"xn--bcher-kva.example=x":       {[]string{"xn--bcher-kva.example"}, "x"},
	} {
		var s Site
		if err := s.UnmarshalFlag(v); err != nil || !reflect.DeepEqual(s, want) {
			t.Errorf("%s: %v, %v", v, s, err)
		}
		var again Site
		if err := again.UnmarshalFlag(s.String()); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%s read as %v, %v", s, again, err)
		}
	}
}

func TestBadSites(t *testing.T) {
	long := strings.Repeat("a.", 130) + "org"
	for v, want := range map[string]string{
		"":                        "must be HOST=DIR",
		"www.example.org":         "must be HOST=DIR",
		"www.example.org=":        "must be HOST=DIR",
		"=dir":                    "must be the name of a host",
		"a,,b=dir":                "must be the name of a host",
		"https://example.org=dir": "without scheme",
		"example.org/x=dir":       "without scheme and path",
		"example.org:8080=dir":    "leave the port out",
		"[::1]:80=dir":            "leave the port out",
		"::1=dir":                 "has brackets",
		"[::1=dir":                "in brackets",
		"[127.0.0.1]=dir":         "in brackets",
		"[fe80::1%eth0]=dir":      "in brackets",
		"*=dir":                   "is --base",
		"a.*.org=dir":             "the first label alone",
		"*a.example.org=dir":      "the first label alone",
		"bücher.example=dir":      "as xn--…",
		"1.2.3=dir":               "neither a name nor an IP address",
		"*.1.2.3.4=dir":           "neither a name nor an IP address",
		"a..b=dir":                "must be the name of a host",
		"-a.org=dir":              "must be the name of a host",
		"a b=dir":                 "must be the name of a host",
		long + "=dir":             "must be the name of a host",
	} {
		var s Site
		if err := s.UnmarshalFlag(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", v, err, want)
		}
	}
}

// Contradictory sites are refused in one line, wherever they are configured.
func TestSitesTogether(t *testing.T) {
	many := []string{"./d"}
	for i := range MaxSites + 1 {
		many = append(many, "--site", "a"+strconv.Itoa(i)+"=d")
	}
	config := saved(t, "base = d\nstrict-host = true\nsite = a.org=x\n")
	for _, test := range []struct {
		args []string
		env  string // of PHALANX_BASE
		want string // "": no error
	}{
		{[]string{"./d", "--site", "a.org=x", "--site", "*.a.org=x"}, "", ""},
		{[]string{"--base", "d", "--site", "a.org=x"}, "", ""},
		{[]string{"--site", "a.org=x"}, "d", ""},
		{[]string{"--site", "a.org=x", "--strict-host"}, "", ""},
		{[]string{"--site", "a.org=x"}, "", "--site: other hosts need a site too; name its directory with --base DIR, or refuse them with --strict-host"},
		{[]string{"./d", "--site", "a.org=x", "--strict-host"}, "", "--base ./d would not be used"},
		{[]string{"--site", "a.org=x", "--strict-host"}, "d", ""}, // of a container image, say
		{[]string{"--config", config}, "", "--base d would not be used"},
		{[]string{"--strict-host"}, "", "add --site HOST=DIR"},
		{[]string{"./d", "--site", "a.org=x", "--site", "b.org,A.org.=y"}, "", "a.org has x already"},
		{[]string{"./d", "--site", "a.org,a.org=x"}, "", "a.org has x already"},
		{many, "", "the limit is 256"},
		{[]string{"share", "--site", "a.org=x"}, "", "share is a command"},
	} {
		getenv := func(key string) string {
			if key == "PHALANX_BASE" {
				return test.env
			}
			return ""
		}
		_, err := parseMaster(test.args, getenv)
		if test.args[0] == "share" {
			if _, err = parseCommand("phalanx", test.args, getenv); err == nil || !strings.Contains(err.Error(), "leave them out") {
				t.Errorf("%q: %v", test.args, err)
			}
			continue
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q, PHALANX_BASE=%s: %v, want %q", test.args, test.env, err, test.want)
		}
	}
}

// The directories become absolute. A missing one is reported with its host.
func TestCheckSites(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("a", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, _ := os.Getwd()
	o, err := CheckSites(Options{Base: ".", Site: []Site{{[]string{"a.org"}, "a"}}})
	if err != nil || o.Base != Base(dir) || o.Site[0].Dir != Base(dir+"/a") {
		t.Errorf("%+v, %v", o, err)
	}
	_, err = CheckSites(Options{Base: "nowhere", StrictHost: true, Site: []Site{{[]string{"a.org"}, "a"}, {[]string{"b.org"}, "b"}}})
	if want := "--site b.org=b: no such directory; create it or give another"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A worker gets the same sites as the master.
func TestSitesOfAWorker(t *testing.T) {
	o := initial()
	o.Site, o.StrictHost = []Site{{[]string{"a.org", "*.b.org"}, "/srv/a b"}}, true
	w, err := ParseWorker(o.WorkerArgs(0, 0))
	if err != nil || !reflect.DeepEqual(w.Site, o.Site) || !w.StrictHost || w.Default() {
		t.Errorf("%+v, %v", w.Site, err)
	}
	if names := w.SiteNames(); !reflect.DeepEqual(names, []string{"*", "a.org"}) {
		t.Errorf("%q", names)
	}
}
