package options

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"phalanx/internal/exitcode"
)

func TestCommand(t *testing.T) {
	const sock = "/run/phalanx.sock"
	env := map[string]string{"PHALANX_ADMIN": "[::1]:9090", "PHALANX_BASE": "www"}
	serving := defaults()
	serving.Base, serving.Admin = "www", "[::1]:9090"
	explained := func(url, method string, header ...string) *Command {
		return &Command{Name: "explain", URL: url, Method: method, Header: header, Options: serving}
	}
	for _, tt := range []struct {
		args []string
		want *Command
	}{
		{nil, nil},
		{[]string{"--base", "site"}, nil},
		{[]string{"-v", "status"}, nil},
		{[]string{"top"}, &Command{Name: "top", Admin: "[::1]:9090", Interval: time.Second}},
		{[]string{"top", "--admin", sock, "--interval=250ms"}, &Command{Name: "top", Admin: sock, Interval: 250 * time.Millisecond}},
		{[]string{"status", "--json", "--admin=" + sock}, &Command{Name: "status", Admin: sock, JSON: true}},
		{[]string{"reload", "--admin=" + sock}, &Command{Name: "reload", Admin: sock}},
		{[]string{"stop", "--admin=" + sock}, &Command{Name: "stop", Admin: sock}},
		{[]string{"scale", "--admin=" + sock, "8"}, &Command{Name: "scale", Admin: sock, Workers: 8}},
		{[]string{"scale", "1024"}, &Command{Name: "scale", Admin: "[::1]:9090", Workers: 1024}},
		{[]string{"explain", "/"}, explained("/", "GET")},
		{[]string{"explain", "what is right is not for this room"}, explained("what is right is not for this room", "GET")},
		{
			[]string{"explain", "/", "-X", "HEAD", "-H", "Range: bytes=0-9", "-HConnection:close", "-H", `Accept: "a"`},
			explained("/", "HEAD", "Range: bytes=0-9", "Connection:close", `Accept: "a"`),
		},
	} {
		got, err := parseCommand("phalanx", tt.args, func(key string) string { return env[key] })
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("parseCommand(%q) = %+v, %v\nwant %+v", tt.args, got, err, tt.want)
		}
	}
}

// Explain accepts the flags, the variables and the options file of the server.
func TestExplainOptions(t *testing.T) {
	file := saved(t, "list = true\nport = 81\n")
	env := map[string]string{"PHALANX_PORT": "82", "PHALANX_CONFIG": file}
	args := []string{"explain", "/a", "--header", "X-A: b", "-H", "A: b", "--cors", "-v"}
	c, err := parseCommand("phalanx", args, func(key string) string { return env[key] })
	want := defaults()
	want.List, want.Port, want.Header, want.CORS, want.Verbose = true, 82, []Field{"X-A: b"}, true, 1
	want.Config = File(file)
	if err != nil || !reflect.DeepEqual(c.Options, want) || c.URL != "/a" || !reflect.DeepEqual(c.Header, []string{"A: b"}) {
		t.Errorf("%+v, %v\nwant %+v", c, err, want)
	}
	stray := func() []string { return []string{"PHALANX_BSAE=www"} }
	if _, err := parseCommand("phalanx", []string{"explain", "/"}, noEnv, listed(stray)); err == nil || !strings.Contains(err.Error(), "PHALANX_BASE?") {
		t.Errorf("a stray variable: %v", err)
	}
}

func TestCommandErrors(t *testing.T) {
	const see = "; see 'phalanx --help'"
	for args, want := range map[string]string{
		"stauts":                     "stauts: no such command or directory; did you mean status? see 'phalanx --help'",
		"relod --admin a:1":          "relod: no such command or directory; did you mean reload? see 'phalanx --help'",
		"exp /":                      "exp: no such command or directory; did you mean explain? see 'phalanx --help'",
		"help prot":                  "prot: no such command or flag; did you mean port?",
		"help me":                    "me: no such command or flag" + see,
		"help two topics":            "topics: unexpected argument; see 'phalanx help --help'",
		"version 2":                  "2: unexpected argument; see 'phalanx version --help'",
		"serve .":                    "serve: no such command or directory; 'phalanx DIR' serves a directory, 'phalanx' the current one" + see,
		"sight":                      "sight: no such command or directory" + see,
		"8000":                       "8000: no such command or directory; 'phalanx -p 8000' listens on that port",
		":8000":                      ":8000: no such command or directory; 'phalanx -p 8000' listens on that port",
		"shell/bash":                 "shell/bash: is a file; 'phalanx share shell/bash' shares it, 'phalanx shell' serves its directory",
		"man.go":                     "man.go: is a file; 'phalanx share man.go' shares it, 'phalanx .' serves its directory",
		"\x1b[2J":                    `"\x1b[2J": no such command or directory` + see,
		"status":                     "no server given; use the --admin ADDR that it was started with, or set PHALANX_ADMIN; see 'phalanx status --help'",
		"status --admin 9090":        "--admin 9090: is a port without a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine",
		"status --jsn --admin a:1":   "--jsn: unknown flag; did you mean --json? see 'phalanx status --help'",
		"status --port 80":           "--port: unknown flag; see 'phalanx status --help'",
		"status two --admin a:1":     "two: unexpected argument; see 'phalanx status --help'",
		"status status --admin a:1":  "status: unexpected argument; see 'phalanx status --help'",
		"top --interval 1":           "--interval: 1 has no unit; write 1s",
		"top --interval 1ms":         "--interval 1ms: must be 100ms to 1m, such as 2s",
		"scale --admin a:1":          "N is missing; see 'phalanx scale --help'",
		"scale 0":                    "0: must be 1 to 1024; the command stop ends the server",
		"scale 1025":                 "1025: must be the number of workers, 1 to 1024",
		"scale two":                  "two: must be the number of workers, 1 to 1024",
		"explain":                    "URL is missing; see 'phalanx explain --help'",
		"explain / /":                "/: unexpected argument; see 'phalanx explain --help'",
		"explain / --header Range:b": "",
		"explain / --port x":         "--port x: must be 0 to 65535 (0 chooses a free one)",
		"explain / --prot":           "--prot: unknown flag; did you mean --port? see 'phalanx explain --help'",
	} {
		fields := strings.Split(args, " ")
		c, err := parseCommand("phalanx", fields, noEnv)
		if want == "" && c != nil && err == nil {
			continue
		}
		if _, usage := errors.AsType[*exitcode.Error](err); c != nil || !usage || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %v", args, err, want)
		}
	}
	wrong := func(key string) string { return map[string]string{"PHALANX_ADMIN": "9090"}[key] }
	const text = "PHALANX_ADMIN 9090: is a port without a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine"
	if _, err := parseCommand("phalanx", []string{"stop"}, wrong); err == nil || err.Error() != text {
		t.Errorf("got %v\nwant %s", err, text)
	}
}

// A command never starts a server, wherever it stands.
func TestServeNoCommand(t *testing.T) {
	for args, want := range map[string]string{
		"stauts":          "stauts: no such command or directory; did you mean status? see 'master --help'",
		"--port 0 status": "status: commands must be the first argument; see 'master status --help'",
	} {
		if _, err := parseMaster(strings.Fields(args), noEnv); err == nil || err.Error() != want {
			t.Errorf("%s: got %v\nwant %s", args, err, want)
		}
	}
}

// Every command has a struct, a help with a valid example, and a line in the help of the
// program.
func TestCommandHelp(t *testing.T) {
	_, err := parseMaster([]string{"--help"}, noEnv)
	whole := err.Error()
	for d := range definitions() {
		name := d.Get("command")
		for _, args := range [][]string{{name, "--help"}, {name, "-h"}} {
			c, err := parseCommand("phalanx", args, noEnv)
			var info *Info
			if c != nil || !errors.As(err, &info) || !strings.HasPrefix(info.Text, "Usage: phalanx "+name) || !strings.Contains(info.Text, "\nExample:\n  phalanx "+name) {
				t.Errorf("%q: %v", args, err)
				continue
			}
			for line := range strings.Lines(info.Text) {
				if len(line) > 81 {
					t.Errorf("wider than a terminal: %q", line)
				}
			}
		}
		if d.Get("internal") == "" && (!regexp.MustCompile(`\n  ([a-z]+, )*` + name + `[ ,]`).MatchString(whole)) {
			t.Errorf("the help does not name %s", name)
		}
		example, _, _ := strings.Cut(d.Get("example"), " >")
		c, err := parseCommand("phalanx", strings.Split(strings.ReplaceAll(example, "'Range: bytes=0-9'", "Range:bytes=0-9"), " "), noEnv)
		if _, text := errors.AsType[*Info](err); c == nil && !text || c != nil && err != nil {
			t.Errorf("the example %q: %v", example, err)
		}
	}
}
