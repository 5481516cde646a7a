package options

import (
	"errors"
	"strings"
	"testing"

	"phalanx/internal/exitcode"
)

// A flag that would have no effect is refused with what is missing, and accepted with that.
func TestDependencies(t *testing.T) {
	for _, tt := range []struct{ args, with, want string }{
		{"--client-header Forwarded", "--trusted-proxies 10.0.0.1",
			"--client-header Forwarded: no proxy is trusted to set it; name your proxies with --trusted-proxies"},
		{"--rate-after 10M", "--rate 1M", "--rate-after: no rate applies after these bytes; set one with --rate"},
		{"--cache-dir /c --etag times", "--compress",
			"--cache-dir /c: nothing is stored there with --etag times; add --compress, or leave it out"},
		{"--cache-size 5M", "--cache-dir /c", "--cache-size: no cache directory is in use; add --compress --cache-dir DIR"},
		{"--cache-size 5M --etag times", "--cache-dir /c --compress", "--cache-size: no cache directory is in use; add --compress --cache-dir DIR"},
		{"--no-readme", "--list", "--no-readme: directories are not listed; list them with --list"},
		{"--file-cache 5s --model goroutine", "--model process", "--file-cache 5s: the goroutine model caches nothing; leave it out or use --model process"},
		{"--file-cache 5s --engine netpoll", "--engine epoll", "--file-cache 5s: --engine netpoll caches nothing; leave one of them out"},
		{"--state /s", "--acme a.example --listen https://:443", "--state /s: has no effect without --acme; name the hosts with --acme HOST"},
		{"--acme-email a@b.example --state /s", "--acme a.example --listen https://:443",
			"--acme-email, --acme-directory, --acme-profile, --acme-eab: have no effect without --acme; name the hosts with --acme HOST"},
		{"--admin-token-file t", "--admin ./s", "--admin-token-file t: there is no admin endpoint; open one with --admin ADDR"},
		{"--access-log-format json", "--access-log -", "--access-log-format json: there is no access log; write one with --access-log FILE"},
		{"--listen http://:80 --hsts 1h", "--listen https://:443 --tls-self-signed",
			"--hsts: browsers obey it over HTTPS only, and no address uses HTTPS; add --listen https://:443, or name the proxy that terminates TLS with --trusted-proxies"},
		{"--listen http://:80 --hsts 1h", "--trusted-proxies 10.0.0.1",
			"--hsts: browsers obey it over HTTPS only, and no address uses HTTPS; add --listen https://:443, or name the proxy that terminates TLS with --trusted-proxies"},
		{"--listen http://:80 --plain serve", "--listen https://:443 --tls-self-signed",
			"--plain serve: has no effect without an HTTPS address; add --listen https://:443, or leave it out"},
	} {
		_, err := parseMaster(strings.Fields(tt.args), noEnv)
		if bad, ok := errors.AsType[*exitcode.Error](err); !ok || bad.Code != exitcode.Usage || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.args, err, tt.want)
		}
		if _, err := parseMaster(strings.Fields(tt.args+" "+tt.with), noEnv); err != nil {
			t.Errorf("%s %s: %v", tt.args, tt.with, err)
		}
	}
}

// A value from a default, from systemd or from a variable for commands is not an error.
func TestDependenciesNotMeant(t *testing.T) {
	for args, env := range map[string]map[string]string{
		"--etag times":                   {"CACHE_DIRECTORY": "/c", "STATE_DIRECTORY": "/s"},
		"--cache-size 5M":                {"CACHE_DIRECTORY": "/c"},
		"--port 81":                      {"PHALANX_ADMIN_TOKEN_FILE": "t"},
		"--cache-size 1G":                nil,
		"--cache-dir /c":                 nil, // for digests
		"--plain redirect":               nil,
		"--model goroutine":              nil,
		"--file-cache 0s --model serial": nil,
	} {
		getenv := func(key string) string { return env[key] }
		o, err := parseMaster(strings.Fields(args), getenv)
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		file := saved(t, printed(t, env, strings.Fields(args)...))
		if again, err := parseMaster([]string{"--config", file}, noEnv); err != nil || again.ETag != o.ETag {
			t.Errorf("%s: what config prints is refused: %v", args, err)
		}
	}
	if _, err := parseCommand("phalanx", []string{"share", "--no-readme"}, noEnv); err != nil {
		t.Errorf("share lists: %v", err)
	}
}
