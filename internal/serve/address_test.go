package serve

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	for network, want := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1", "tcp": "127.0.0.1", "unix": "unix:"} {
		where := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "tcp": ":0", "unix": filepath.Join(t.TempDir(), "s")}[network]
		l, err := net.Listen(network, where)
		if err != nil {
			if network == "tcp6" {
				continue // this machine has no IPv6
			}
			t.Fatal(err)
		}
		defer l.Close()
		where = l.Addr().String()
		if network == "tcp" {
			where = strings.Replace(where, "[::]", "127.0.0.1", 1)
		}
		client, err := net.Dial(network, where)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		full := client.LocalAddr().String()
		if network == "unix" {
			full = want
		}
		raw, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if host, address := Client(int(raw.Fd())); host != want || address != full {
			t.Errorf("%s: %q, %q, want %q, %q", network, host, address, want, full)
		}
	}
	if host, address := Client(-1); host != unknown || address != unknown {
		t.Errorf("nobody: %q, %q", host, address)
	}
}
