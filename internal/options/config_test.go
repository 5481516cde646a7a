package options

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/internal/exitcode"
)

// A flag overrides its variable, and a variable overrides the file.
func TestConfigFile(t *testing.T) {
	text := `# the site
base = www
port = 81
keepalive=5s
list = true
cors =
index = a.html
index = b.html
cache = assets/**=max-age=60, immutable
type = apple-app-site-association=application/json
type = *.foo=text/plain; charset=utf-8
header = X-Frame-Options: DENY
verbose = true
verbose = true
admin = /run/phalanx/admin.sock
access-log = access.log
request-id = true
`
	file := saved(t, text)
	env := map[string]string{"PHALANX_PORT": "82", "PHALANX_KEEPALIVE": "6s", "PHALANX_INDEX": "c.html\nd.html"}
	o, err := parseMaster([]string{"--keepalive", "7s", "--config", file}, func(key string) string { return env[key] })
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		Base: "www", Port: 82, KeepAlive: KeepAlive(7 * time.Second), List: true, CORS: true, Verbose: 2,
		Index: []Name{"c.html", "d.html"}, Cache: []Rule{{"assets/**", "max-age=60, immutable"}},
		Type:   []TypeRule{{"apple-app-site-association", "application/json"}, {"*.foo", "text/plain; charset=utf-8"}},
		Header: []Field{"X-Frame-Options: DENY"}, Config: File(file),
		Admin: "/run/phalanx/admin.sock", AccessLog: "access.log", AccessLogFormat: AccessCombined, CacheSize: 1 << 30, RequestID: true,
		Expires: Expires(12 * time.Hour), Model: Process, Engine: "auto", Plain: PlainRedirect, HTTP2: "on", Rescue: "auto", Confine: "auto", ServerTokens: "on", Symlinks: "inside", ETag: ETagAuto, ClientHeader: "X-Forwarded-For", Recv: 65536, LogFormat: "auto", HangTimeout: HangTimeout(30 * time.Second), FileCache: FileCache(time.Second),
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
	env = map[string]string{"PHALANX_CONFIG": file}
	if o, err = parseMaster([]string{"--index", "e.html"}, func(key string) string { return env[key] }); err != nil {
		t.Fatal(err)
	}
	if o.Port != 81 || !reflect.DeepEqual(o.Index, []Name{"e.html"}) || o.Config != File(file) {
		t.Errorf("file named by the variable: %+v", o)
	}
}

func TestConfigFileErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"port = 80\nport = x\n":     ":2: --port x: must be 0 to 65535 (0 chooses a free one)",
		"keepalive = 30\n":          ":1: --keepalive: 30 has no unit; write 30s",
		"portt = 80\n":              ":1: portt: unknown flag; did you mean port?",
		"host = ::1\n":              ":1: host: unknown flag; did you mean bind?",
		"= 80\n":                    ":1: \"\": unknown flag",
		"config = other\n":          ":1: config: only on the command line",
		"check = true\n":            ":1: check: only on the command line",
		"help = true\n":             ":1: help: only on the command line",
		"\n\nlist = perhaps\n":      ":3: --list perhaps: must be true or false",
		"verbose = loud\n":          ":1: --verbose loud: must be a count, 0 to 3",
		"workers = two # or so\n":   ":1: --workers two: must be 1 to 1024 (0 is one per CPU)",
		"header = \"A: b\" c\n":     ":1: header: ",
		"header = \"A: b\n":         ":1: header: ",
		"[Network]\nport = 80\n":    ":1: [Network]: sections are not supported; remove the line",
		"[\x1b[31m]\n":              ":1: [\\x1b[31m]: sections are not supported; remove the line",
		"keepalive = 30s\nnonsense": ":2: nonsense: unknown flag",
		"port\n":                    ":1: port: needs a value; write port = VALUE",
		"base /tmp/x;\n":            ":1: base: needs an equals sign; write base = /tmp/x",
		"base\t /tmp/a b\n":         ":1: base: needs an equals sign; write base = /tmp/a b",
		"list on\n":                 ":1: list: needs an equals sign; write list = true",
		"config /tmp/x\n":           ":1: config: only on the command line",
		"header = X-C: #fff\n":      ":1: --header \"X-C:\": must be 'Name: value', such as 'X-Frame-Options: DENY'; a value with \" #\" needs quotes",
		"\xff\xfep\x00":             ": is not in UTF-8; save it as UTF-8",
	} {
		file := saved(t, text)
		_, err := parseMaster([]string{"--config", file}, func(string) string { return "" })
		if c, ok := err.(*exitcode.Error); !ok || c.Code != exitcode.Config || !strings.HasPrefix(strings.TrimPrefix(c.Text, "--config "), file+want) || strings.Contains(c.Text, "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := parseMaster([]string{"--config", dir + "/none"}, func(string) string { return "" })
	if want := "--config " + dir + "/none: no such file or directory; create it or name another"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

// All errors of a file are reported at once, as with a file of another server.
func TestConfigFileErrorsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	for text, want := range map[string]string{
		"portt = 80\nlist\nport = x\n\n[a]\n": "FILE:1: portt: unknown flag; did you mean port?\nFILE:3: --port x: must be 0 to 65535 (0 chooses a free one)\nFILE:5: [a]: sections are not supported; remove the line",
		strings.Repeat("a\n", 10):             strings.Repeat("FILE:N: a: unknown flag\n", 10),
		strings.Repeat("a\n", 99):             strings.Repeat("FILE:N: a: unknown flag\n", 10) + "--config FILE: there are more errors",
	} {
		for n := 1; strings.Contains(want, "FILE:N:"); n++ {
			want = strings.Replace(want, "FILE:N:", "FILE:"+strconv.Itoa(n)+":", 1)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := parseMaster([]string{"--config", file}, noEnv)
		if want = strings.TrimSpace(strings.ReplaceAll(want, "FILE", file)); err == nil || err.Error() != want {
			t.Errorf("%q is refused with\n%v\nwant\n%s", text, err, want)
		}
	}
}

// Each line with -v adds to the others, as on the command line.
func TestConfigFileVerbose(t *testing.T) {
	for text, want := range map[string]int{"verbose\n": 1, "--verbose # requests\nverbose\n": 2, "verbose\nverbose = true\n": 2, "verbose = false\n": 0} {
		o, err := parseMaster([]string{"--config", saved(t, text)}, noEnv)
		if err != nil || o.Verbose != want {
			t.Errorf("%q: %d, %v; want %d", text, o.Verbose, err, want)
		}
	}
}

// A file is read as editors of any system write it, with comments in the usual places.
func TestConfigFileForms(t *testing.T) {
	const text = "\ufeff; the site\r\nport = 81 # not 80\r\n--base = \"a # b\" # quoted\r\nspa = a#b\r\nheader = X-A: b;c\t# here\r\nlist\r\nclean-urls # a = b\r\ncors = # too\r\nverbose = 2"
	file := saved(t, text)
	o, err := parseMaster([]string{"--config", file}, noEnv)
	if err != nil || o.Port != 81 || o.Base != "a # b" || o.SPA != "a#b" || !o.List || !o.Clean || !o.CORS || o.Verbose != 2 || !slices.Equal(o.Header, []Field{"X-A: b;c"}) {
		t.Errorf("%+v, %v", o, err)
	}
	quiet := func(key string) string { return map[string]string{"PHALANX_VERBOSE": "0"}[key] }
	if o, err = parseMaster([]string{"--config", file}, quiet); err != nil || o.Verbose != 0 {
		t.Errorf("the variable is 0: verbose %d, %v", o.Verbose, err)
	}
}

// A file that is none of flags, or has no end, is refused with a short line, at once.
func TestConfigFileOfAnotherKind(t *testing.T) {
	for file, want := range map[string]string{
		"/dev/zero": "--config /dev/zero: is larger than 16.0 MB; name a file of flags",
		saved(t, strings.Repeat("\x00", maxConfig)):      `FILE:1: "` + strings.Repeat(`\x00`, longestName) + `… (15,999,960 bytes more)": unknown flag`,
		saved(t, "["+strings.Repeat("é", maxConfig/2-1)): `FILE:1: [` + strings.Repeat("é", longestName-1) + "… (15,999,920 bytes more): sections are not supported; remove the line",
	} {
		_, err := parseMaster([]string{"--config", file}, noEnv)
		if want = strings.ReplaceAll(want, "FILE", file); err == nil || err.Error() != want {
			t.Errorf("%.300v\nwant %s", err, want)
		}
	}
}
