package options

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"phalanx/internal/exitcode"
)

// A flag beats its variable, and a variable beats the file.
func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "phalanx.conf")
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
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PHALANX_PORT": "82", "PHALANX_KEEPALIVE": "6s", "PHALANX_INDEX": "c.html\nd.html"}
	o, err := ParseMaster([]string{"--keepalive", "7s", "--config", file}, func(key string) string { return env[key] })
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		Base: "www", Port: 82, KeepAlive: KeepAlive(7 * time.Second), List: true, CORS: true, Verbose: 2,
		Index: []Name{"c.html", "d.html"}, Cache: []Rule{{"assets/**", "max-age=60, immutable"}},
		Type:   []TypeRule{{"apple-app-site-association", "application/json"}, {"*.foo", "text/plain; charset=utf-8"}},
		Header: []Field{"X-Frame-Options: DENY"}, Config: File(file),
		Admin: "/run/phalanx/admin.sock", AccessLog: "access.log", AccessLogFormat: AccessCombined, RequestID: true,
		Expires: Expires(12 * time.Hour), Model: Process, Engine: Auto, Rescue: RescueAuto, Recv: 65536, LogFormat: LogAuto, HangTimeout: HangTimeout(30 * time.Second), FileCache: FileCache(time.Second),
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
	env = map[string]string{"PHALANX_CONFIG": file}
	if o, err = ParseMaster([]string{"--index", "e.html"}, func(key string) string { return env[key] }); err != nil {
		t.Fatal(err)
	}
	if o.Port != 81 || !reflect.DeepEqual(o.Index, []Name{"e.html"}) || o.Config != File(file) {
		t.Errorf("named by its variable: %+v", o)
	}
}

func TestConfigFileErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"port = 80\nport = x\n":     ", line 2: --port x: must be 0 to 65535 (0 takes a free one)",
		"keepalive = 30\n":          ", line 1: --keepalive: 30 has no unit; write 30s",
		"portt = 80\n":              ", line 1: unknown option: portt",
		"config = other\n":          ", line 1: unknown option: config",
		"\n\nlist = perhaps\n":      ", line 3: ",
		"[Network]\nport = 80\n":    ": section [Network]: there are no sections; leave it out",
		"keepalive = 30s\nnonsense": ", line 2: malformed key=value (nonsense)",
	} {
		file := filepath.Join(dir, "conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ParseMaster([]string{"--config", file}, func(string) string { return "" })
		if c, ok := err.(*exitcode.Error); !ok || c.Code != exitcode.Config || !strings.HasPrefix(c.Text, "--config "+file+want) || strings.Contains(c.Text, "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := ParseMaster([]string{"--config", dir + "/none"}, func(string) string { return "" })
	if want := "--config " + dir + "/none: no such file or directory; create it or name another"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
