package options

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"phalanx/internal/human"
	"phalanx/internal/listen"
	"phalanx/internal/proto"
)

// AuthRule requires a password from a file for the paths that match a pattern.
type AuthRule struct {
	Pattern string
	File    string // its path, as given
}

func (a AuthRule) String() string { return a.Pattern + "=" + a.File }

func (a *AuthRule) UnmarshalFlag(v string) error {
	pattern, file, ok := strings.Cut(v, "=")
	if pattern = strings.Trim(strings.TrimSpace(pattern), "/"); pattern == "" && ok && strings.HasPrefix(v, "/") {
		pattern = "**"
	}
	switch file = strings.TrimSpace(file); {
	case !ok || pattern == "" || file == "" || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return invalid(v, "must be GLOB=FILE, such as 'private/**=/etc/phalanx.htpasswd'")
	case !doublestar.ValidatePattern(pattern):
		return invalid(v, "the pattern is malformed; see https://github.com/bmatcuk/doublestar#patterns")
	}
	*a = AuthRule{pattern, file}
	return nil
}

// PasswordFiles returns the password files, each once, in the order of the flags.
func (o Options) PasswordFiles() (all []string) {
	for _, a := range o.Auth {
		if !slices.Contains(all, a.File) {
			all = append(all, a.File)
		}
	}
	return all
}

// checkAuth refuses too many password files.
func (o Options) checkAuth() error {
	if n := len(o.PasswordFiles()); n > proto.MaxRealms {
		return usage("--auth: names " + human.Count(n) + " files; the limit is " + human.Count(proto.MaxRealms))
	}
	return nil
}

// InClear returns an address at which passwords would be sent unencrypted over a network, ""
// if there is none. Unix sockets and loopback addresses do not count.
func (o Options) InClear(addresses []listen.Address) string {
	secure := listen.AnySecure(addresses)
	proxied := len(o.TrustedProxies) > 0 || len(o.ProxyProtocol) > 0 // the proxy may terminate TLS
	if len(o.Auth) == 0 || secure && o.Plain != PlainServe || proxied {
		return ""
	}
	for _, a := range addresses {
		if !a.Secure && a.Path == "" && !isLoopback(a.Host) {
			return a.String()
		}
	}
	return ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
