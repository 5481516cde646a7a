package options

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseShare(t *testing.T) {
	there := filepath.Join(t.TempDir(), "a:b")
	touch(t, there)
	for _, tt := range []struct {
		args []string
		env  map[string]string
		want Share
	}{
		{nil, nil, Share{}},
		{[]string{"a", "b"}, nil, Share{Paths: []string{"a", "b"}}},
		{[]string{"--password"}, nil, Share{Password: MakePassword}},
		{[]string{"--password", "me:secret:1", "a"}, nil, Share{Password: "me:secret:1", Paths: []string{"a"}}},
		{[]string{"--password=me:secret", "--for", "90m"}, nil, Share{Password: "me:secret", For: 90 * time.Minute}},
		{[]string{"--password", "a"}, nil, Share{Password: MakePassword, Paths: []string{"a"}}},
		{[]string{"--password", there}, nil, Share{Password: MakePassword, Paths: []string{there}}},
		{[]string{"--password", "--", "me:secret"}, nil, Share{Password: MakePassword, Paths: []string{"me:secret"}}},
		{[]string{"a", "--random-path", "-p", "81"}, nil, Share{Paths: []string{"a"}, RandomPath: true, PortGiven: true}},
		{nil, map[string]string{"PHALANX_PASSWORD": "me:secret", "PHALANX_PORT": "0"}, Share{Password: "me:secret", PortGiven: true}},
	} {
		c, err := parseCommand("phalanx", append([]string{"share"}, tt.args...), func(key string) string { return tt.env[key] })
		if err != nil || !reflect.DeepEqual(*c.Share, tt.want) {
			t.Errorf("%q: %+v, %v\nwant %+v", tt.args, c, err, tt.want)
			continue
		}
		if !c.Options.List || !c.Options.Archive || c.Options.Expires != 0 || len(c.Options.Index) != 0 {
			t.Errorf("%q: %+v are not the options of a share", tt.args, c.Options)
		}
	}
	secure, err := parseCommand("phalanx", []string{"share", "--tls-self-signed", "-b", "127.0.0.1"}, noEnv)
	if want := []Listen{{Secure: true, Host: "127.0.0.1", Port: 8080, Short: true}}; err != nil || !reflect.DeepEqual(secure.Options.Listen, want) || secure.Share.PortGiven {
		t.Errorf("%+v, %v", secure, err)
	}
	c, err := parseCommand("phalanx", []string{"share", "--index", "a.html", "--expires", "1h"}, noEnv)
	if err != nil || !slices.Equal(c.Options.Index, []Name{"a.html"}) || c.Options.Expires != Expires(time.Hour) {
		t.Errorf("%+v, %v", c, err)
	}
}

// Paths override PHALANX_BASE, which container images set, as a directory of the server does.
func TestSharedPathsOverrideVariable(t *testing.T) {
	env := func(key string) string { return map[string]string{"PHALANX_BASE": "/srv/www"}[key] }
	c, err := parseCommand("phalanx", []string{"share", "a"}, env)
	if err != nil || !slices.Equal(c.Share.Paths, []string{"a"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = parseCommand("phalanx", []string{"share"}, env); err != nil || c.Options.Base != "/srv/www" {
		t.Errorf("%+v, %v", c, err)
	}
}

// An error names the flag, and never contains what may be a password.
func TestParseShareErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--auth=x=y":         "--auth: protects parts of a website; protect a share with --password",
		"--password=secret":  "--password: must be USER:PASSWORD; without a value both are generated",
		"--password=me:":     "--password: must be USER:PASSWORD; without a value both are generated",
		"--password=:secret": "--password: must be USER:PASSWORD; without a value both are generated",
		"--for 1":            "--for: 1 has no unit; write 1s",
		"--for 0s":           "--for 0s: must be 1s to 168h, such as 30m or 1h",
		"--base . a":         "a: --base names the directory already; leave one of them out",
		"--fro 1h":           "--fro: unknown flag; did you mean --for? see 'phalanx share --help'",
	} {
		if c, err := parseCommand("phalanx", append([]string{"share"}, strings.Fields(args)...), noEnv); err == nil || err.Error() != want {
			t.Errorf("%s: %+v\n got %v\nwant %s", args, c, err, want)
		}
	}
}

func TestCheckShare(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/a/x", dir+"/b/x", dir+"/b/.hidden")
	t.Chdir(dir)
	for _, tt := range []struct {
		paths    string
		dotfiles bool
		base     string
		shares   string
		err      string
	}{
		{"", false, dir, "", ""},
		{"a", false, dir + "/a", "", ""},
		{"a/x", false, ".", dir + "/a/x", ""},
		{"a b/x", false, ".", dir + "/a " + dir + "/b/x", ""},
		{"b/.hidden", true, ".", dir + "/b/.hidden", ""},
		{"b/.hidden", false, "", "", "share b/.hidden: hidden by its name; add --dotfiles"},
		{"a/x b/x", false, "", "", "share b/x: has the same name as a/x; share the directory that holds both, or rename one"},
		{"nope", false, "", "", "share nope: no such file or directory; check its spelling"},
		{"a /dev/null", false, "", "", "share /dev/null: neither a file nor a directory; share one of those"},
	} {
		base, shares, err := CheckShare(strings.Fields(tt.paths), Options{Base: ".", Dotfiles: tt.dotfiles})
		if text := ""; err != nil || tt.err != "" {
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Errorf("%q: %v, want %s", tt.paths, err, tt.err)
			}
			continue
		}
		if string(base) != tt.base || strings.Join(shares, " ") != tt.shares {
			t.Errorf("%q: %s and %q, want %s and %s", tt.paths, base, shares, tt.base, tt.shares)
		}
	}
}

// A worker gets everything about a share, and secrets are not on the command line.
func TestSharedReachesWorker(t *testing.T) {
	o := defaults()
	o.Shared = Shared{Paths: []string{"/a b", "/-c=d"}, Prefix: "/abc", Credentials: "me:--secret = \"1\""}
	args := o.WorkerArgs(0, 0)
	w, err := ParseWorker(args)
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	for _, variable := range o.Shared.Environment() {
		key, v, _ := strings.Cut(variable, "=")
		env[key] = v
	}
	w.Shared.Secrets(func(key string) string { return env[key] })
	if !reflect.DeepEqual(w.Shared, o.Shared) {
		t.Errorf("%+v, want %+v", w.Shared, o.Shared)
	}
	if line := strings.Join(args, " "); strings.Contains(line, "secret") || strings.Contains(line, "abc") {
		t.Errorf("on the command line: %s", line)
	}
	if more := (Shared{}).Environment(); more != nil {
		t.Errorf("%q without a secret", more)
	}
}
