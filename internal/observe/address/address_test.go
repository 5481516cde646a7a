package address

import (
	"strings"
	"testing"
)

func TestCures(t *testing.T) {
	long := "/" + strings.Repeat("a", MaxPath)
	for v, want := range map[string]string{
		"":                       "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock",
		"9090":                   "is a port without a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine",
		":9090":                  "needs a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine",
		"localhost":              "needs a port; write localhost:9090, or ./localhost for a unix socket",
		"admin.sock":             "needs a port; write admin.sock:9090, or ./admin.sock for a unix socket",
		"127.0.0.1:":             "the port must be 0 to 65535 (0 chooses a free one)",
		"127.0.0.1:65536":        "the port must be 0 to 65535 (0 chooses a free one)",
		"127.0.0.1:http":         "the port must be 0 to 65535 (0 chooses a free one)",
		"::1":                    "needs a port; write [::1]:9090",
		"[::1]":                  "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090",
		"a:b:c":                  "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090",
		"-a:1":                   "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]",
		"a b:1":                  "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]",
		"http://127.0.0.1:9090/": "must not be a URL; leave out http:// and the path: 127.0.0.1:9090",
		"unix:/run/p.sock":       "must be the path alone; leave out unix: and write /run/p.sock",
		"unix:./p.sock":          "must be the path alone; leave out unix: and write ./p.sock",
		"/run/":                  "is a directory; name the socket: /run/phalanx.sock",
		"a\nb":                   "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock",
		"/run/a\x00b":            "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock",
		"@" + long[:MaxPath-1]:   "is too long for the path of a unix socket; the limit is 107 bytes",
		long:                     "is too long for the path of a unix socket; the limit is 107 bytes",
	} {
		if got := Address(v).Cure(); got != want {
			t.Errorf("%q: %s\nwant %s", v, got, want)
		}
	}
	for _, v := range []string{long[:MaxPath], "@/s", "localhost:0", "[::1]:9090", "[fe80::1%eth0]:80"} {
		if got := Address(v).Cure(); got != "" {
			t.Errorf("%q: %s", v, got)
		}
	}
}

func TestNet(t *testing.T) {
	for a, want := range map[Address][2]string{
		"localhost:1": {"tcp", "localhost:1"},
		"/run/s":      {"unix", "/run/s"},
		"@/s":         {"unix", "./@/s"},
	} {
		if network, where := a.Net(); network != want[0] || where != want[1] {
			t.Errorf("%s: %s %s", a, network, where)
		}
	}
}

// A listener accepts every address for which Cure returns nothing.
func FuzzCure(f *testing.F) {
	for _, seed := range []string{"9180", ":9180", "[::1]:9180", "/run/x.sock", "@/x", "a\x00/b", "[", "%:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		a := Address(v)
		network, where := a.Net()
		if a.Cure() == "" && network == "unix" && (len(where) > MaxPath || where[0] == '@' || strings.ContainsRune(where, 0)) {
			t.Errorf("%q is taken for a path", v)
		}
	})
}
