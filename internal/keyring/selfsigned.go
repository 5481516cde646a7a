package keyring

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"phalanx/internal/certificate"
)

// selfSignedTime is the lifetime of a self-signed certificate, the longest that browsers
// accept.
const selfSignedTime = 397 * day

// renewBefore is the time before its expiry at which a self-signed certificate is renewed,
// earlier than the first warning.
const renewBefore = 30 * day

// maxNames limits the names of a self-signed certificate on machines with many addresses.
const maxNames = 50

func selfSigned(now time.Time, more []string) (*certificate.Source, error) {
	host, _ := os.Hostname() // the other names suffice
	addresses, _ := net.InterfaceAddrs()
	names := ownNames(host, addresses)
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	src, err := certificate.SelfSigned(names, now, selfSignedTime)
	return &src, err
}

// named reports whether a self-signed certificate is usable and has all names.
func named(src *certificate.Source, names []string) bool {
	set, err := certificate.Parse([]certificate.Source{*src})
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(set.List()[0].Names, name) })
}

// renew renews the self-signed certificate before it expires. It alerts, because users have to
// accept the new one in their browsers.
func (k *Keyring) renew() {
	now := k.Now()
	if own := k.SelfSigned(); own == nil || own.NotAfter.Sub(now) > renewBefore || now.Before(k.renewAt) {
		return
	}
	k.renewAt = now.Add(retryInterval) // if it fails
	k.mu.Lock()
	names := k.loaded.names
	k.mu.Unlock()
	src, err := selfSigned(now, names)
	if err == nil {
		err = k.change(func() {
			if k.loaded.selfSigned != nil { // otherwise a reload has removed it
				k.loaded.selfSigned = src
			}
		})
	}
	if err != nil {
		k.Alert(fmt.Sprintf("self-signed certificate not renewed: %v; trying again in %v", err, retryInterval))
	} else if own := k.SelfSigned(); own != nil {
		k.Alert(fmt.Sprintf("self-signed certificate renewed, SHA-256 fingerprint %v; browsers warn again", own.Fingerprint))
	}
}

// SelfSigned describes the self-signed certificate; nil: there is none.
func (k *Keyring) SelfSigned() *certificate.Info {
	for _, c := range k.List() {
		if c.Source == certificate.SelfSignedName {
			return &c
		}
	}
	return nil
}

// ownNames returns the names and addresses under which browsers may reach this machine.
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
