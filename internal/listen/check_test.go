package listen

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := mustOpen(t, Address{Host: "127.0.0.1"}, 1)
	socket := mustOpen(t, Address{Path: filepath.Join(dir, "s"), Mode: DefaultMode}, 1)
	for _, tt := range []struct {
		a    Address
		want string
	}{
		{Address{}, ""},
		{Address{Port: 80}, ""},
		{Address{Host: "127.0.0.1", Port: taken.Port}, ""},
		{socket.Address, ""},
		{Address{Path: filepath.Join(dir, "new"), Mode: DefaultMode}, ""},
		{Address{Host: "192.0.2.1", Port: 81}, "--listen http://192.0.2.1:81: not an address of this machine; choose one of its own, or write --listen http://:81"},
		{Address{Host: "192.0.2.1", Short: true}, "--bind 192.0.2.1: not an address of this machine; choose one of its own, or omit --bind"},
		{Address{Host: "::1%none", Secure: true, Port: 443}, "--listen https://[::1%none]:443: no interface none on this machine; ip -6 address lists them"},
		{Address{Path: file, Mode: DefaultMode}, "--listen unix:" + file + ": the file exists and is not a socket; remove it or choose another path"},
		{Address{Path: file + "/s", Mode: 0o666}, "--listen unix:" + file + "/s?mode=0666: directory " + file + " does not exist; create it or choose another path"},
		{Address{Path: dir + "/none/s", Mode: DefaultMode}, "--listen unix:" + dir + "/none/s: directory " + dir + "/none does not exist; create it or choose another path"},
	} {
		got := ""
		if err := Check([]Address{{}, tt.a}); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.a, got, tt.want)
		}
	}
}
