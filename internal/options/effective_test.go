package options

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// printed returns the output of the config command for a command line.
func printed(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	_, err := parseCommand("phalanx", append([]string{"config"}, args...), func(key string) string { return env[key] })
	info, ok := err.(*Info)
	if !ok {
		t.Fatalf("config %q: %v", args, err)
	}
	return info.Text
}

// touch makes empty files, and the directories that they are in.
func touch(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// saved writes an options file.
func saved(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "phalanx.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func none(string) string { return "" }

// Each option has its origin, and a repeated one that of each value.
func TestConfigOrigins(t *testing.T) {
	file := saved(t, "# site\nport = 81\nexpires = 90m\ncache = \"*.js=no-cache # really\"\ncache = b=c\nlist = true\n")
	env := map[string]string{"PHALANX_CONFIG": file, "PHALANX_EXPIRES": "0s", "PHALANX_VERBOSE": "2"}
	got := printed(t, env, "/srv/www", "-p", "82", "--type", "a=text/plain")
	for _, want := range []string{
		`base = /srv/www +# command line`, `port = 82 +# command line`, `expires = 0s +# \$PHALANX_EXPIRES`,
		`cache = "\*\.js=no-cache # really" +# ` + regexp.QuoteMeta(file) + `:4`, `cache = b=c +# ` + regexp.QuoteMeta(file) + `:5`,
		`list = true +# ` + regexp.QuoteMeta(file) + `:6`, `verbose = 2 +# \$PHALANX_VERBOSE`, `keepalive = 30s +# default`,
		`workers = 0 +# default: one per CPU`, `# spa = FILE +# default: none`, `type = a=text/plain +# command line`,
		`index = index.html +# default: index.html`, `cache-size = 1G +# default`, `max-memory = 0 +# default: none`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(got) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// The output of the config command is an options file that results in the same options.
func TestConfigIsRead(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"/srv/a # b", "-p", "0", "--cache", `"quoted"=x`, "--cache", "a=b # c", "--header", "A: #1", "-vv", "--recv", "1M", "--bind", "::1"},
		{"--model", "goroutine", "--expires", "1h30m", "--keepalive", "1500ms", "--admin", "/run/x.sock", "--spa", "/a b.html", "--index", "#a", "--cors"},
		{"--listen", "http://[::1]:80", "--listen", "unix:/run/a # b?mode=0600"},
	} {
		want, err := parseMaster(args, none)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseMaster([]string{"--config", saved(t, printed(t, nil, args...))}, none)
		got.Config = ""
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v\n%+v\nwant\n%+v", args, err, got, want)
		}
	}
}

// The sample file sets nothing, has every flag that a file may contain, and each of its lines
// is valid.
func TestSample(t *testing.T) {
	text := printed(t, nil, "--sample")
	want, err := parseMaster(nil, none)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseMaster([]string{"--config", saved(t, text)}, none)
	got.Config = ""
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("as it is: %v\n%+v\nwant\n%+v", err, got, want)
	}
	setting := regexp.MustCompile(`(?m)^#([a-z0-9-]+) = .*$`)
	names := map[string]bool{}
	for _, m := range setting.FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
		line := strings.TrimPrefix(m[0], "#")
		switch name := m[1]; { // some are nothing without another
		case name == "tls-key":
			line = "tls-cert = a.pem\n" + line
		case name == "acme":
			line = "state = /var/lib/phalanx\n" + line
		case name == "state":
			line = "acme = www.example.org\n" + line
		case name == "admin-token-file":
			line = "admin = /run/phalanx.sock\n" + line
		case name == "site":
			line = "base = /srv/www\n" + line
		case name == "strict-host":
			line = "base = /srv/www\nsite = www.example.org=/srv/www\n" + line
		case strings.HasPrefix(name, "acme-"):
			line = "state = /var/lib/phalanx\nacme = www.example.org\n" + line
		}
		if _, err := parseMaster([]string{"--config", saved(t, line)}, none); err != nil {
			t.Errorf("%s: %v; give the flag a default or an example in its tag", m[0], err)
		}
	}
	for field := range reflect.TypeFor[Options]().Fields() {
		name := field.Tag.Get("long")
		if name != "" && field.Tag.Get("no-ini") == "" && !names[name] {
			t.Errorf("the sample lacks %s", name)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("a long line: %s", line)
		}
	}
}

// The help of a flag says more about it than --help does.
func TestEveryFlagIsExplained(t *testing.T) {
	for field := range reflect.TypeFor[Options]().Fields() {
		if name := field.Tag.Get("long"); name != "" && field.Tag.Get("detail") == "" {
			t.Errorf("--%s has no detail in its tag: 'help %s' would say no more than --help", name, name)
		}
	}
}

// docs/flags.md has every flag.
func TestFlagsAreInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/flags.md")
	if err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[Options]().Fields() {
		if name := field.Tag.Get("long"); name != "" && !regexp.MustCompile("`(-., |-., `)?--"+name+"\\b|, `--"+name+"\\b").Match(page) {
			t.Errorf("docs/flags.md lacks --%s", name)
		}
	}
}

// docs/signals.md has every flag that a reload cannot change.
func TestFlagsThatNeedARestartAreInTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/signals.md")
	if err != nil {
		t.Fatal(err)
	}
	_, reload, _ := strings.Cut(string(page), "\n## Reload\n")
	reload, _, _ = strings.Cut(reload, "\n## ")
	for field := range reflect.TypeFor[Options]().Fields() {
		if name := field.Tag.Get("long"); field.Tag.Get("reload") == "no" && !strings.Contains(reload, "`--"+name+"`") {
			t.Errorf("docs/signals.md does not say that --%s needs a restart", name)
		}
	}
}
