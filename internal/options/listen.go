package options

import (
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/jessevdk/go-flags"

	"phalanx/internal/listen"
	"phalanx/internal/observe/address"
)

// Listen is an address to listen on.
type Listen listen.Address

// MaxListen is the largest number of addresses.
const MaxListen = listen.Max

func (l Listen) String() string { return listen.Address(l).String() }

func (l *Listen) UnmarshalFlag(v string) error {
	scheme, rest, _ := strings.Cut(v, ":")
	host, ok := strings.CutPrefix(rest, "//")
	cure := ""
	switch {
	case scheme == "unix":
		*l, cure = unixSocket(rest)
	case ok && (scheme == "http" || scheme == "https"):
		*l, cure = hostPort(scheme, strings.TrimSuffix(host, "/"))
	default:
		cure = schemeCure(v)
	}
	if cure != "" {
		return invalid(v, cure)
	}
	return nil
}

// schemeCure returns how to correct an address without a scheme, or without the two slashes
// after it.
func schemeCure(v string) string {
	scheme, rest, what := "http", v, "has no scheme"
	if name, behind, _ := strings.Cut(v, ":"); name == "http" || name == "https" {
		scheme, rest, what = name, behind, "needs two slashes"
	}
	ip, err := netip.ParseAddr(rest)
	switch {
	case strings.Contains(v, "/") && !strings.Contains(v, "://"):
		return "has no scheme; write unix:" + v
	case err == nil && ip.Is6():
		rest = "[" + rest + "]"
	case isNumber(rest):
		rest = ":" + rest
	case err != nil && rest != "localhost" && !strings.Contains(rest, ":"), strings.Contains(v, "/"):
		return "must be http://ADDR:PORT, https://ADDR:PORT or unix:PATH, such as http://:80, https://[::1]:8443 or unix:/run/phalanx/http.sock"
	}
	l, cure := hostPort(scheme, rest)
	if cure == "" {
		cure = what + "; write " + l.String()
	}
	return cure
}

// unixSocket parses the path of a unix socket with an optional mode.
func unixSocket(v string) (l Listen, cure string) {
	if strings.HasPrefix(v, "/") {
		v = "/" + strings.TrimLeft(v, "/") // unix:///path is accepted
	}
	name, query, more := strings.Cut(v, "?")
	l = Listen{Path: name, Mode: listen.DefaultMode}
	if text, ok := strings.CutPrefix(query, "mode="); ok {
		mode, err := strconv.ParseUint(text, 8, 32)
		if err != nil || mode&^0o666 != 0 || mode&0o200 == 0 {
			return l, "the mode must be octal, from 0200 to 0666, such as 0660"
		}
		l.Mode = fs.FileMode(mode)
	} else if more {
		return l, "after the path only a mode may follow, such as ?mode=0666"
	}
	switch {
	case name == "" || strings.ContainsAny(name, "\x00\n"):
		return l, "must name the file of the socket, such as unix:/run/phalanx/http.sock"
	case name[0] == '@':
		return l, "a socket without a file has no permissions; name a file, such as unix:/run/phalanx/http.sock"
	case strings.HasSuffix(name, "/"):
		return l, "is a directory; name the socket: unix:" + name + "http.sock"
	case len(l.Path) > address.MaxPath:
		return l, "is too long for the path of a unix socket; the limit is " + strconv.Itoa(address.MaxPath) + " bytes"
	}
	return l, ""
}

// hostPort parses an IP address and a port, either of which may be missing.
func hostPort(scheme, v string) (l Listen, cure string) {
	l = Listen{Secure: scheme == "https", Port: 80}
	if l.Secure {
		l.Port = 443
	}
	if strings.ContainsAny(v, "/?#@") {
		return l, "must end after the port; write " + scheme + "://ADDR:PORT, such as " + scheme + "://:" + strconv.Itoa(l.Port)
	}
	host, port := v, ""
	if h, p, err := net.SplitHostPort(v); err == nil {
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(v, "["), "]")
	}
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case v == "":
		return l, "needs a port; write " + scheme + "://:" + strconv.Itoa(l.Port)
	case port == "" && strings.HasSuffix(v, ":"), port != "" && (err != nil || port[0] == '+'):
		return l, "the port must be 0 to 65535 (0 chooses a free one)"
	case port != "":
		l.Port = int(n)
	}
	var bind Bind
	if host == "" || host == "*" {
		return l, ""
	}
	if err := bind.UnmarshalFlag(host); err != nil || strings.ContainsAny(host, "[]") { // in a zone
		return l, hostCure(scheme, host, l.Port)
	}
	l.Host = string(bind)
	return l, ""
}

// hostCure returns how to correct an invalid host.
func hostCure(scheme, host string, port int) string {
	write := func(host string) string { return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)) }
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "":
		return "a link-local address needs its interface; write for example " + write(host+"%eth0")
	case host == "localhost":
		return "the host must be an IP address; write " + write("127.0.0.1") + ", or " + write("::1") + " for IPv6"
	}
	return "the host must be an IP address of this machine, or empty for all; write for example " + write("127.0.0.1") + " or " + write("")
}

// Complete offers the schemes, and files after unix:.
func (Listen) Complete(match string) []flags.Completion {
	file, ok := strings.CutPrefix(match, "unix:")
	if !ok {
		return fitting(match, []string{"http://", "https://", "unix:"})
	}
	all := paths(file, true)
	for i := range all {
		all[i].Item = "unix:" + all[i].Item
	}
	return all
}

// Addresses returns the addresses to listen on: those of --listen, or else that of --port and
// --bind.
func (o Options) Addresses() []listen.Address {
	if len(o.Listen) == 0 {
		return []listen.Address{{Host: string(o.Bind), Port: int(o.Port), Short: true}}
	}
	var all []listen.Address
	for _, l := range o.Listen {
		all = append(all, listen.Address(l))
	}
	return all
}

// checkListenAlone refuses --port and --bind together with --listen, also from variables and the config
// file.
func (o Options) checkListenAlone(from origins) error {
	for _, flag := range []string{"port", "bind"} {
		if len(o.Listen) > 0 && from[flag].by != byDefault {
			return usage("--" + flag + ": --listen says where to listen; write --listen http://" +
				net.JoinHostPort(string(o.Bind), strconv.Itoa(int(o.Port))) + " instead")
		}
	}
	return nil
}

// checkListen refuses addresses that are invalid together.
func (o Options) checkListen() error {
	if len(o.Listen) > MaxListen {
		return usage("--listen: given " + strconv.Itoa(len(o.Listen)) + " times; the limit is " + strconv.Itoa(MaxListen))
	}
	for i, l := range o.Listen {
		for _, other := range o.Listen[:i] {
			switch {
			case !listen.Address(l).Overlaps(listen.Address(other)):
			case l == other:
				return usage("--listen " + l.String() + ": given twice; leave one out")
			default:
				return usage("--listen " + l.String() + ": " + other.String() + " has it already; leave one of them out, or choose another " + l.what())
			}
		}
	}
	return nil
}

// what returns "path" or "port", whichever distinguishes the address.
func (l Listen) what() string {
	if l.Path != "" {
		return "path"
	}
	return "port"
}

// checkAdmin refuses an admin endpoint on an address of the website.
func (o Options) checkAdmin() error {
	admin, ok := adminAddress(address.Address(o.Admin))
	if !ok {
		return nil
	}
	for _, l := range o.Addresses() {
		if !l.Overlaps(admin) {
			continue
		}
		name := "--listen " + l.String()
		if l.Short {
			name = "--port " + strconv.Itoa(l.Port)
		}
		return usage("--admin " + string(o.Admin) + ": is where " + name + " serves the website; choose another " + Listen(l).what())
	}
	return nil
}

// adminAddress returns the admin endpoint as an address to listen on; false if there is none,
// or if its host is a name.
func adminAddress(a address.Address) (listen.Address, bool) {
	if a == "" {
		return listen.Address{}, false
	}
	if a.Unix() {
		return listen.Address{Path: string(a)}, true
	}
	host, port, err := net.SplitHostPort(string(a))
	n, bad := strconv.Atoi(port)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	_, name := netip.ParseAddr(host)
	return listen.Address{Host: host, Port: n}, err == nil && bad == nil && name == nil
}
