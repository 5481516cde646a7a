package keyring

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"phalanx/internal/certificate"
)

// selfSignedTime is how long a self-signed certificate is valid: browsers accept no
// more.
const selfSignedTime = 397 * day

// maxNames bounds a self-signed certificate on a machine with thousands of addresses.
const maxNames = 50

func selfSigned(now time.Time) (*certificate.Source, error) {
	host, _ := os.Hostname() // without one there are the other names
	addresses, _ := net.InterfaceAddrs()
	src, err := certificate.SelfSigned(ownNames(host, addresses), now, selfSignedTime)
	return &src, err
}

// ownNames returns the names by which a browser on this machine or in its network may
// call it.
func ownNames(host string, addresses []net.Addr) []string {
	names := []string{"localhost"}
	if host = strings.ToLower(host); isHost(host) && host != "localhost" {
		names = append(names, host)
		if !strings.Contains(host, ".") {
			names = append(names, host+".local") // multicast DNS
		}
	}
	names = append(names, "127.0.0.1", "::1")
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if addr := prefix.Addr(); err == nil && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && len(names) < maxNames {
			names = append(names, addr.String())
		}
	}
	return names
}

func isHost(s string) bool {
	return s != "" && len(s) < 254 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}
