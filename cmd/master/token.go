package main

import (
	"fmt"
	"net"
	"net/netip"

	"phalanx/internal/exitcode"
	"phalanx/internal/observe/address"
	"phalanx/internal/observe/token"
	"phalanx/internal/options"
)

// adminToken reads the token of an admin endpoint; "" if there is no file.
func adminToken(file string) (token.Token, error) {
	if file == "" {
		return "", nil
	}
	t, err := token.Read(file)
	if err != nil {
		return "", exitcode.New(exitcode.Config, fmt.Sprintf("--admin-token-file %s: %v", file, err), err)
	}
	return t, nil
}

// warnExposed warns about an admin endpoint that other machines can reach without a token.
func warnExposed(o options.Options, alert func(string)) {
	a := address.Address(o.Admin)
	if o.Admin == "" || a.Unix() || o.AdminTokenFile != "" {
		return
	}
	host, _, err := net.SplitHostPort(string(a))
	if ip, bad := netip.ParseAddr(host); err != nil || host == "localhost" || bad == nil && ip.IsLoopback() {
		return
	}
	alert(fmt.Sprintf("admin endpoint on %s: anybody who can reach it sees metrics and status; give --admin-token-file FILE, or use a unix socket", o.Admin))
}
