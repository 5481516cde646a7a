package options

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"phalanx/internal/exitcode"
)

// defaults is what an empty command line means.
func defaults() Options {
	return Options{
		Base: ".", Port: 8080, Model: Process, Engine: "auto", Plain: PlainRedirect, HTTP2: "on", Rescue: "auto", Confine: "auto", ServerTokens: "on", Symlinks: "inside", ETag: ETagAuto, ClientHeader: "X-Forwarded-For", Recv: 65536, LogFormat: "auto",
		KeepAlive: KeepAlive(30 * time.Second), Expires: Expires(12 * time.Hour), HangTimeout: HangTimeout(30 * time.Second), FileCache: FileCache(time.Second),
		Index: []Name{"index.html"}, AccessLogFormat: AccessCombined, CacheSize: 1 << 30,
	}
}

func noEnv(string) string { return "" }

func TestOptions(t *testing.T) {
	tests := []struct {
		args string
		set  func(*Options)
	}{
		{"", func(*Options) {}},
		{"--", func(*Options) {}},
		{"--base site", func(o *Options) { o.Base = "site" }},
		{"--base=-odd", func(o *Options) { o.Base = "-odd" }},
		{`--base="quoted"`, func(o *Options) { o.Base = `"quoted"` }},
		{"--port 0", func(o *Options) { o.Port = 0 }},
		{"--port=65535", func(o *Options) { o.Port = 65535 }},
		{"--bind ::1", func(o *Options) { o.Bind = "::1" }},
		{"--bind fe80::1%eth0", func(o *Options) { o.Bind = "fe80::1%eth0" }},
		{"--model goroutine", func(o *Options) { o.Model = Goroutine }},
		{"--model serial --workers 1", func(o *Options) { o.Model, o.Workers = Serial, 1 }},
		{"--engine netpoll", func(o *Options) { o.Engine = Netpoll }},
		{"--workers 1024", func(o *Options) { o.Workers = 1024 }},
		{"--recv 1", func(o *Options) { o.Recv = 1 }},
		{"--recv 64k", func(o *Options) { o.Recv = 65536 }},
		{"--recv 2K", func(o *Options) { o.Recv = 2048 }},
		{"--recv 16M", func(o *Options) { o.Recv = 16 << 20 }},
		{"--hsts 8760h --plain serve", func(o *Options) { o.HSTS, o.Plain = HSTS(8760*time.Hour), PlainServe }},
		{"--plain redirect:443", func(o *Options) { o.Plain = "redirect:443" }},
		{"--keepalive 1m30s", func(o *Options) { o.KeepAlive = KeepAlive(90 * time.Second) }},
		{"--expires 0", func(o *Options) { o.Expires = 0 }},
		{"--log-format json", func(o *Options) { o.LogFormat = LogJSON }},
		{"--worker /bin/w", func(o *Options) { o.Worker = "/bin/w" }},
		{"--cache /a/*=no-cache --cache *.js=max-age=9", func(o *Options) { o.Cache = []Rule{{"/a/*", "no-cache"}, {"*.js", "max-age=9"}} }},
		{"--index a.html --index b.html", func(o *Options) { o.Index = []Name{"a.html", "b.html"} }},
		{"--list --dotfiles --cors", func(o *Options) { o.List, o.Dotfiles, o.CORS = true, true, true }},
		{"--type /.well-known/x=application/json --type *.foo=text/plain;charset=utf-8", func(o *Options) {
			o.Type = []TypeRule{{"/.well-known/x", "application/json"}, {"*.foo", "text/plain;charset=utf-8"}}
		}},
		{"--spa /app.html", func(o *Options) { o.SPA = "app.html" }},
		{"--header X-A:b", func(o *Options) { o.Header = []Field{"X-A: b"} }},
		{"--clean-urls --no-rules --prefix /a/b/", func(o *Options) { o.Clean, o.NoRules, o.Prefix = true, true, "/a/b" }},
		{"--admin 127.0.0.1:9090", func(o *Options) { o.Admin = "127.0.0.1:9090" }},
		{"--admin [::1]:0", func(o *Options) { o.Admin = "[::1]:0" }},
		{"--admin my_host.example:65535", func(o *Options) { o.Admin = "my_host.example:65535" }},
		{"--admin /run/a:b.sock", func(o *Options) { o.Admin = "/run/a:b.sock" }},
		{"--admin ./admin", func(o *Options) { o.Admin = "./admin" }},
		{"--access-log -", func(o *Options) { o.AccessLog = Stdout }},
		{"--access-log log/a.log --access-log-format json", func(o *Options) { o.AccessLog, o.AccessLogFormat = "log/a.log", "json" }},
		{"--access-log - --access-log-format common", func(o *Options) { o.AccessLog, o.AccessLogFormat = Stdout, "common" }},
		{"--request-id", func(o *Options) { o.RequestID = true }},
		{"-v", func(o *Options) { o.Verbose = 1 }},
		{"-vv", func(o *Options) { o.Verbose = 2 }},
		{"-v --verbose -v", func(o *Options) { o.Verbose = 3 }},
		{"-vvvvvv", func(o *Options) { o.Verbose = 3 }},
	}
	for _, tt := range tests {
		want := defaults()
		tt.set(&want)
		got, err := parseMaster(strings.Fields(tt.args), noEnv)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("parseMaster(%q) = %+v, %v\nwant %+v", tt.args, got, err, want)
		}
	}
}

// wrongRules are those of flags about rules and prefixes.
func wrongRules() []wrongArgument {
	return []wrongArgument{
		{[]string{"--header", "/a: Date: now"}, `--header "/a: Date: now": "Date": the server sets this field itself; leave it out`},
		{[]string{"--header", "/a: b"}, `--header "/a: b": "b": the field has no value; '! b' removes it`},
		{[]string{"--redirect", "/a"}, "--redirect /a: it has no target; write FROM TO [STATUS]"},
		{[]string{"--redirect", "/a //b"}, `--redirect "/a //b": "//b" leads to another host; write it with https:// if that is intended`},
		{[]string{"--redirect", "/a /b\n/c /d"}, `--redirect "/a /b\n/c /d": must be FROM TO [STATUS] on one line`},
		{[]string{"--prefix", "docs"}, "--prefix docs: must be a path of letters, digits and -._~, such as /docs"},
		{[]string{"--prefix", "/"}, "--prefix /: must be a path of letters, digits and -._~, such as /docs"},
		{[]string{"--prefix", "/a/../b"}, "--prefix /a/../b: must be a path of letters, digits and -._~, such as /docs"},
		{[]string{"--prefix", "//a"}, "--prefix //a: must be a path of letters, digits and -._~, such as /docs"},
	}
}

// wrongArguments are command lines that cannot be served, and why not.
func wrongArguments() []wrongArgument {
	return []wrongArgument{
		{[]string{"--port", "65536"}, "--port 65536: must be 0 to 65535 (0 chooses a free one)"},
		{[]string{"--port", "-1"}, "--port -1: must be 0 to 65535 (0 chooses a free one)"},
		{[]string{"--port", "http"}, "--port http: must be 0 to 65535 (0 chooses a free one)"},
		{[]string{"--port="}, `--port "": must be 0 to 65535 (0 chooses a free one)`},
		{[]string{"--port", "8\n0"}, `--port "8\n0": must be 0 to 65535 (0 chooses a free one)`},
		{[]string{"--port"}, "--port: needs a value; see 'master --help'"},
		{[]string{"--base", "--port"}, "--base: needs a value; see 'master --help'"},
		{[]string{"--base", ""}, `--base "": must name a directory`},
		{[]string{"--bind="}, `--bind "": must be an IP address of this machine, such as 127.0.0.1 or ::1`},
		{[]string{"--model", "thread"}, "--model thread: must be process, goroutine or serial"},
		{[]string{"--workers=-1"}, "--workers -1: must be 1 to 1024 (0 is one per CPU)"},
		{[]string{"--workers", "1025"}, "--workers 1025: must be 1 to 1024 (0 is one per CPU)"},
		{[]string{"--model", "serial", "--workers", "2"}, "--workers 2: the serial model has one worker; leave it out or use --model process"},
		{[]string{"--engine", "kqueue"}, "--engine kqueue: must be auto, epoll or netpoll"},
		{[]string{"--model", "serial", "--engine", "epoll"}, "--engine epoll: the serial model has no event loop; leave it out or use --model process"},
		{[]string{"--recv", "0"}, "--recv 0: must be 1 to 16M bytes, such as 65536, 64k or 1M"},
		{[]string{"--recv", "16777217"}, "--recv 16777217: must be 1 to 16M bytes, such as 65536, 64k or 1M"},
		{[]string{"--recv", "2147483647M"}, "--recv 2147483647M: must be 1 to 16M bytes, such as 65536, 64k or 1M"},
		{[]string{"--recv", "k"}, "--recv k: must be 1 to 16M bytes, such as 65536, 64k or 1M"},
		{[]string{"--log-format", "xml"}, "--log-format xml: must be auto, console or json"},
		{[]string{"--cache", "a"}, "--cache a: must be GLOB=VALUE, such as '*.html=no-cache'"},
		{[]string{"--cache", "a[=b"}, "--cache a[=b: the pattern is malformed; see https://github.com/bmatcuk/doublestar#patterns"},
		{[]string{"--cache", "a=b\r\nX: y"}, `--cache "a=b\r\nX: y": must be GLOB=VALUE, such as '*.html=no-cache'`},
		{[]string{"--index", "a/b"}, "--index a/b: must be a file's name, such as index.html"},
		{[]string{"--type", "a"}, "--type a: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a=text"}, "--type a=text: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a=text/"}, "--type a=text/: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a=a/b/c"}, "--type a=a/b/c: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a=a/b\r\nX: y"}, `--type "a=a/b\r\nX: y": must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'`},
		{[]string{"--type", "a=a/b;"}, "--type a=a/b;: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a=a/b;c"}, "--type a=a/b;c: must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", `a=a/b;c="d"e"`}, "--type \"a=a/b;c=\\\"d\\\"e\\\"\": must be GLOB=TYPE, such as '*.foo=text/plain; charset=utf-8'"},
		{[]string{"--type", "a[=a/b"}, "--type a[=a/b: the pattern is malformed; see https://github.com/bmatcuk/doublestar#patterns"},
		{[]string{"--spa", "/"}, "--spa /: must be a file in the document root, such as index.html"},
		{[]string{"--worker", "4"}, "--worker 4: must be the path of a program; did you mean --workers?"},
		{[]string{"--header", "a"}, "--header a: must be 'Name: value', such as 'X-Frame-Options: DENY'"},
		{[]string{"--header", "a b: c"}, `--header "a b: c": must be 'Name: value', such as 'X-Frame-Options: DENY'`},
		{[]string{"--header", "a: b\r\nc: d"}, `--header "a: b\r\nc: d": must be 'Name: value', such as 'X-Frame-Options: DENY'`},
		{[]string{"--header", "content-length: 5"}, `--header "content-length: 5": the server sets content-length itself; leave it out`},
		{[]string{"--header", "Content-Type: a/b"}, `--header "Content-Type: a/b": the server sets Content-Type itself; leave it out`},
		{[]string{"--header", "Vary: *"}, `--header "Vary: *": the server sets Vary itself; leave it out`},
		{[]string{"--header", "Proxy-Connection: x"}, `--header "Proxy-Connection: x": the server sets Proxy-Connection itself; leave it out`},
		{[]string{"--header", "/a: Proxy-Connection: x"}, `--header "/a: Proxy-Connection: x": "Proxy-Connection": the server sets this field itself; leave it out`},
		{[]string{"--header", "Content-Encoding: br"}, `--header "Content-Encoding: br": the server sets Content-Encoding itself; leave it out`},
		{[]string{"--header", "Expires: 0"}, `--header "Expires: 0": use --cache or --expires, which set it by path`},
		{[]string{"--verbose=2"}, "--verbose: takes no value; see 'master --help'"},
		{[]string{"--prot", "80"}, "--prot: unknown flag; did you mean --port? see 'master --help'"},
		{[]string{"--host", "::1"}, "--host: unknown flag; did you mean --bind? see 'master --help'"},
		{[]string{"--root=x"}, "--root: unknown flag; did you mean --base? see 'master --help'"},
		{[]string{"--lost"}, "--lost: unknown flag; did you mean --list? see 'master --help'"},
		{[]string{"--most"}, "--most: unknown flag; see 'master --help'"},
		{[]string{"--exp=1h"}, "--exp: unknown flag; did you mean --expires? see 'master --help'"},
		{[]string{"--nonsense"}, "--nonsense: unknown flag; see 'master --help'"},
		{[]string{"--slot=1"}, "--slot: unknown flag; see 'master --help'"},
		{[]string{"-x"}, "-x: unknown flag; see 'master --help'"},
		{[]string{"-i", "::1"}, "-i: unknown flag; did you mean --bind? see 'master --help'"},
	}
}

type wrongArgument struct {
	args []string
	want string
}

func TestOptionsErrors(t *testing.T) {
	for _, tt := range append(wrongArguments(), wrongRules()...) {
		_, err := parseMaster(tt.args, noEnv)
		if exitcode.Code(err) != exitcode.Usage || err.Error() != tt.want {
			t.Errorf("parseMaster(%q):\n got %v\nwant %v", tt.args, err, tt.want)
		}
	}
}

func TestDurationErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--hsts 1500ms":       "--hsts 1500ms: must be 0s to 87600h in whole seconds, such as 10m or 8760h",
		"--hsts 1y":           "--hsts 1y: must be 0s to 87600h in whole seconds, such as 10m or 8760h",
		"--plain no":          "--plain no: must be redirect, redirect:PORT or serve",
		"--plain redirect:0":  "--plain redirect:0: must be redirect, redirect:PORT or serve",
		"--plain redirect:":   "--plain \"redirect:\": must be redirect, redirect:PORT or serve",
		"--plain serve:80":    "--plain serve:80: must be redirect, redirect:PORT or serve",
		"--keepalive 30":      "--keepalive: 30 has no unit; write 30s",
		"--keepalive 99999":   "--keepalive 99999: must be 1ms to 24h, such as 30s or 5m",
		"--keepalive 0":       "--keepalive 0: must be 1ms to 24h, such as 30s or 5m",
		"--keepalive 1500m":   "--keepalive 1500m: must be 1ms to 24h, such as 30s or 5m",
		"--keepalive 0x1p3":   "--keepalive 0x1p3: must be 1ms to 24h, such as 30s or 5m",
		"--keepalive \"30s":   "--keepalive: the closing quote is missing, or followed by text",
		"--expires 1.5":       "--expires: 1.5 has no unit; write 1.5s",
		"--expires 1d":        "--expires 1d: d is not a unit; write 24h",
		"--lame-duck 7d":      "--lame-duck 7d: d is not a unit; write 168h",
		"--keepalive 2d":      "--keepalive 2d: must be 1ms to 24h, such as 30s or 5m",
		"--expires d":         "--expires d: must be 0s to 87600h, such as 90s or 12h",
		"--file-cache 2":      "--file-cache: 2 has no unit; write 2s",
		"--lame-duck 10":      "--lame-duck: 10 has no unit; write 10s",
		"--lame-duck -1":      "--lame-duck -1: must be 0s to 168h, such as 10s",
		"--drain-timeout 90":  "--drain-timeout: 90 has no unit; write 90s",
		"--drain-timeout 1us": "--drain-timeout 1us: must be 1ms to 168h, such as 90s or 10m (0 is no limit)",
		"--hang-timeout 30":   "--hang-timeout: 30 has no unit; write 30s",
		"--hang-timeout 10ms": "--hang-timeout 10ms: must be 1s to 168h, such as 30s (0 is no limit)",
		"--file-cache 2h":     "--file-cache 2h: must be 0s to 1h, such as 1s (0s checks on each request)",
		"--file-cache -1s":    "--file-cache -1s: must be 0s to 1h, such as 1s (0s checks on each request)",
		"--keepalive 0s":      "--keepalive 0s: must be 1ms to 24h, such as 30s or 5m",
		"--expires -5s":       "--expires -5s: must be 0s to 87600h, such as 90s or 12h",
	} {
		_, err := parseMaster(strings.Fields(args), noEnv)
		if _, usage := errors.AsType[*exitcode.Error](err); !usage || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %v", args, err, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"PHALANX_BASE": "www", "PHALANX_PORT": "81", "PHALANX_BIND": "::1", "PHALANX_MODEL": "serial", "PHALANX_ENGINE": "netpoll",
		"PHALANX_WORKERS": "1", "PHALANX_RECV": "1k", "PHALANX_KEEPALIVE": "1s", "PHALANX_EXPIRES": "2s",
		"PHALANX_WORKER": "w", "PHALANX_VERBOSE": "2", "PHALANX_LOG_FORMAT": "json",
		"PHALANX_HELP": "1", "PHALANX_VERSION": "1", "PHALANX_LIST": "true", "PHALANX_DOTFILES": "0",
		"PHALANX_INDEX": "a\nb\n", "PHALANX_HEADER": "A: b",
		"PHALANX_ADMIN": "./s", "PHALANX_ACCESS_LOG": "-", "PHALANX_ACCESS_LOG_FORMAT": "common", "PHALANX_REQUEST_ID": "true",
	}
	getenv := func(key string) string { return env[key] }
	want := Options{
		Base: "www", Port: 81, Bind: "::1", Model: Serial, Engine: Netpoll, Plain: PlainRedirect, HTTP2: "on", Rescue: "auto", Confine: "auto", ServerTokens: "on", Symlinks: "inside", ETag: ETagAuto, ClientHeader: "X-Forwarded-For", Workers: 1, Recv: 1024, Worker: "w",
		KeepAlive: KeepAlive(time.Second), Expires: Expires(2 * time.Second), Verbose: 2, LogFormat: LogJSON,
		HangTimeout: HangTimeout(30 * time.Second), FileCache: FileCache(time.Second),
		List: true, Index: []Name{"a", "b"}, Header: []Field{"A: b"},
		Admin: "./s", AccessLog: Stdout, AccessLogFormat: "common", CacheSize: 1 << 30, RequestID: true,
	}
	if got, err := parseMaster(nil, getenv); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	want.Port, want.Verbose, want.Bind = 82, 1, "::"
	got, err := parseMaster([]string{"--port=82", "-v", "--bind=::"}, getenv)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a flag does not beat its variable: %+v, %v", got, err)
	}
	for key, want := range map[string]string{
		"PHALANX_BIND":    "PHALANX_BIND x: must be an IP address of this machine, such as 127.0.0.1 or ::1",
		"PHALANX_PORT":    "PHALANX_PORT x: must be 0 to 65535 (0 chooses a free one)",
		"PHALANX_VERBOSE": "PHALANX_VERBOSE x: must be a count, 0 to 3",
		"PHALANX_LIST":    "PHALANX_LIST x: must be true or false",
		"PHALANX_EXPIRES": "PHALANX_EXPIRES x: must be 0s to 87600h, such as 90s or 12h",
		"PHALANX_ADMIN":   "PHALANX_ADMIN x: needs a port; write x:9090, or ./x for a unix socket",
	} {
		_, err := parseMaster(nil, func(k string) string {
			if k == key {
				return "x"
			}
			return ""
		})
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %v", err, want)
		}
	}
}

func TestInfo(t *testing.T) {
	for args, want := range map[string]string{
		"--version": "phalanx " + Version + "\n", "--help": "Usage: master", "-h": "Usage: master",
	} {
		_, err := parseMaster([]string{args}, noEnv)
		if info, ok := errors.AsType[*Info](err); !ok || !strings.HasPrefix(info.Text, want) {
			t.Errorf("parseMaster(%s) = %v", args, err)
		}
	}
}

// What Kubernetes sets beside a Service named phalanx is no port.
func TestServiceLink(t *testing.T) {
	for _, v := range []string{"tcp://10.0.0.1:80", "udp://10.0.0.1:80", "tcp://[fd00::1]:80"} {
		for _, args := range [][]string{nil, {"--listen", "http://:80"}} {
			o, err := parseMaster(args, func(key string) string { return map[string]string{"PHALANX_PORT": v}[key] })
			if err != nil || o.Port != 8080 || o.Linked != v {
				t.Errorf("PHALANX_PORT=%s %q: port %d, %q, %v", v, args, o.Port, o.Linked, err)
			}
		}
	}
	if o, err := parseMaster(nil, func(key string) string { return map[string]string{"PHALANX_PORT": "81"}[key] }); err != nil || o.Port != 81 || o.Linked != "" {
		t.Errorf("port %d, %q, %v", o.Port, o.Linked, err)
	}
}

func TestStrayVariables(t *testing.T) {
	for setting, want := range map[string]string{
		"PHALANX_PROT=80":         "PHALANX_PROT: no flag has this variable; did you mean PHALANX_PORT?",
		"PHALANX_KEEP_ALIVE=1s":   "PHALANX_KEEP_ALIVE: no flag has this variable; did you mean PHALANX_KEEPALIVE?",
		"PHALANX_ACCESS=-":        "PHALANX_ACCESS: no flag has this variable; did you mean PHALANX_ACCESS_LOG?",
		"PHALANX_SERVICE_HOST=a":  "",
		"PHALANX_HELP=1":          "",
		"PHALANX_=1":              "",
		"PHALANX_\x1b=1":          "",
		"PHALANX_PROT=":           "",
		"PHALANX_SERVICE_PORT=80": "", "PHALANX_PORT_80_TCP=tcp://10.0.0.1:80": "", "PHALANX_VERSION=1": "",
		"PHALANX_PORT=80":         "",
		"PHALANX_VERBOSE=1":       "",
		"PHALANX_UPGRADE=3":       "",
		"PHALANX_CONFIG=none":     "",
		"phalanx_prot=80":         "",
		"HOME=/root":              "",
		"no assignment":           "",
		"OTHER_PHALANX_PROT=80":   "",
		"PHALANX_MAX_REQUESTS=10": "",
	} {
		environ := func() []string { return []string{"A=b", setting} }
		_, err := parseMaster(nil, noEnv, named("phalanx"), listed(environ))
		if _, usage := errors.AsType[*exitcode.Error](err); want == "" && err != nil || want != "" && (!usage || err.Error() != want) {
			t.Errorf("%q: %v\nwant %s", setting, err, want)
		}
	}
}

func TestBindErrors(t *testing.T) {
	for v, want := range map[string]string{
		"nowhere":        "--bind nowhere: must be an IP address of this machine, such as 127.0.0.1 or ::1",
		"1.2.3":          "--bind 1.2.3: must be an IP address of this machine, such as 127.0.0.1 or ::1",
		"::1%":           "--bind ::1%: must be an IP address of this machine, such as 127.0.0.1 or ::1",
		"localhost":      "--bind localhost: is a name; write 127.0.0.1, or ::1 for IPv6",
		"127.0.0.1:8080": "--bind 127.0.0.1:8080: has a port; write --bind 127.0.0.1 --port 8080",
		"[::1]:80":       "--bind [::1]:80: has a port; write --bind ::1 --port 80",
		":8080":          "--bind :8080: is a port; write --port 8080",
		"*":              "--bind *: is the default; omit --bind",
		"fe80::1":        "--bind fe80::1: a link-local address needs its interface; write for example fe80::1%eth0",
	} {
		if _, err := parseMaster([]string{"--bind", v}, noEnv); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// Brackets are what an address has in a URL.
func TestBindInBrackets(t *testing.T) {
	for v, want := range map[string]Bind{"[::1]": "::1", "[fe80::1%eth0]": "fe80::1%eth0", "0:0::1": "::1", "127.0.0.1": "127.0.0.1"} {
		if o, err := parseMaster([]string{"--bind", v}, noEnv); err != nil || o.Bind != want {
			t.Errorf("--bind %s: %q, %v", v, o.Bind, err)
		}
	}
}

func TestLimits(t *testing.T) {
	o, err := parseMaster([]string{"--max-connections", "10000", "--max-connections-per-client=100"}, noEnv)
	if err != nil || o.MaxConnections != 10_000 || o.MaxPerClient != 100 || !o.Shares() {
		t.Errorf("%d, %d, %v", o.MaxConnections, o.MaxPerClient, err)
	}
	for _, args := range []string{"--max-connections=-1", "--max-connections=many", "--max-connections-per-client=1e3"} {
		if _, err := parseMaster([]string{args}, noEnv); err == nil || !strings.Contains(err.Error(), "must be a number of connections") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestRates(t *testing.T) {
	o, err := parseMaster([]string{"--min-rate=10k", "--max-unsent", "256k"}, noEnv)
	if err != nil || o.MinRate != 10<<10 || o.MaxUnsent != 256<<10 || o.Shares() {
		t.Errorf("%d, %d, %v", o.MinRate, o.MaxUnsent, err)
	}
	o, err = parseMaster([]string{"--rate=500k", "--rate-after", "10M"}, noEnv)
	if err != nil || o.Rate != 500<<10 || o.RateAfter != 10<<20 {
		t.Errorf("%d, %d, %v", o.Rate, o.RateAfter, err)
	}
	for _, args := range []string{"--rate=-1", "--rate=1025M", "--rate-after=x", "--rate-after=1M", "--min-rate=-1", "--min-rate=17M", "--max-unsent=63k", "--max-unsent=1G"} {
		if _, err := parseMaster([]string{args}, noEnv); err == nil || !strings.Contains(err.Error(), "bytes") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
