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

// selfSignedTime is how long a self-signed certificate is valid: browsers accept no
// more.
const selfSignedTime = 397 * day

// renewBefore is how long before its end a self-signed certificate is replaced: before
// anybody is warned of it.
const renewBefore = 30 * day

// maxNames bounds a self-signed certificate on a machine with thousands of addresses.
const maxNames = 50

func selfSigned(now time.Time, more []string) (*certificate.Source, error) {
	host, _ := os.Hostname() // without one there are the other names
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

// named reports whether a self-signed certificate is usable, and has all the names.
func named(src *certificate.Source, names []string) bool {
	set, err := certificate.Parse([]certificate.Source{*src})
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(set.List()[0].Names, name) })
}

// renew replaces the self-signed certificate before it expires. Clients that trusted
// the one before have to be asked to trust this one, so it is not done in silence.
func (k *Keyring) renew() {
	now := k.Now()
	if own := k.SelfSigned(); own == nil || own.NotAfter.Sub(now) > renewBefore || now.Before(k.renewAt) {
		return
	}
	k.renewAt = now.Add(retryEvery) // if it fails
	k.mu.Lock()
	names := k.loaded.names
	k.mu.Unlock()
	src, err := selfSigned(now, names)
	if err == nil {
		err = k.change(func() {
			if k.loaded.selfSigned != nil { // else a reload has dropped it meanwhile
				k.loaded.selfSigned = src
			}
		})
	}
	if err != nil {
		k.Alert(fmt.Sprintf("self-signed certificate not renewed: %v; trying again in %v", err, retryEvery))
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
