package options

import (
	"strings"
	"testing"
)

func TestAdminErrors(t *testing.T) {
	long := "/" + strings.Repeat("a", MaxSocketPath)
	for v, want := range map[string]string{
		"":                       "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock",
		"9090":                   "is a port without a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine",
		":9090":                  "needs a host; write 127.0.0.1:9090, or 0.0.0.0:9090 for every address of this machine",
		"localhost":              "needs a port; write localhost:9090, or ./localhost for a unix socket",
		"admin.sock":             "needs a port; write admin.sock:9090, or ./admin.sock for a unix socket",
		"127.0.0.1:":             "the port must be 0 to 65535 (0 takes a free one)",
		"127.0.0.1:65536":        "the port must be 0 to 65535 (0 takes a free one)",
		"127.0.0.1:http":         "the port must be 0 to 65535 (0 takes a free one)",
		"::1":                    "needs a port; write [::1]:9090",
		"[::1]":                  "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090",
		"a:b:c":                  "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090",
		"-a:1":                   "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]",
		"a b:1":                  "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]",
		"http://127.0.0.1:9090/": "is no URL; leave http:// and the path out: 127.0.0.1:9090",
		"/run/":                  "is a directory; name the socket: /run/phalanx.sock",
		long:                     "is too long for the path of a unix socket; 107 bytes are possible",
	} {
		_, err := ParseMaster([]string{"--admin=" + v}, noEnv)
		if want = "--admin " + printable(v) + ": " + want; err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %v", err, want)
		}
	}
	if _, err := ParseMaster([]string{"--admin=" + long[:MaxSocketPath]}, noEnv); err != nil {
		t.Errorf("a path of %d bytes: %v", MaxSocketPath, err)
	}
}

func TestAccessLogErrors(t *testing.T) {
	for flag, want := range map[string]string{
		"--access-log=":             `--access-log "": must name a file, such as access.log, or - for standard output`,
		"--access-log=/var/log/":    "--access-log /var/log/: must name a file, such as access.log, or - for standard output",
		"--access-log-format=nginx": "--access-log-format nginx: must be common, combined or json",
	} {
		if _, err := ParseMaster([]string{flag}, noEnv); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %v", err, want)
		}
	}
}
