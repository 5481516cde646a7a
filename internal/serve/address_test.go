package serve

import (
	"net/netip"
	"testing"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1"} {
		if client := netip.MustParseAddrPort(text); host(client) != want || address(client) != text {
			t.Errorf("%s: %q, %q", text, host(client), address(client))
		}
	}
	if client := Client(-1); host(client) != unknown || address(client) != unknown {
		t.Errorf("nobody: %q, %q", host(client), address(client))
	}
}
