package options

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// MaxSocketPath is how long the path of a unix socket may be (unix(7): 108
// bytes with the closing zero).
const MaxSocketPath = 107

// The values that say what can be seen of the pool.
type (
	Admin           string // HOST:PORT, or a path with a slash; "" is none
	AccessLog       string // a file's path, Stdout, or "" for none
	AccessLogFormat string // AccessCommon, AccessCombined or AccessJSON
)

// Stdout stands for standard output where a file is wanted.
const Stdout = "-"

// The looks of a line of the access log.
const (
	AccessCommon   AccessLogFormat = "common"
	AccessCombined AccessLogFormat = "combined"
	AccessJSON     AccessLogFormat = "json"
)

// Unix reports whether the endpoint is a unix socket.
func (a Admin) Unix() bool { return strings.Contains(string(a), "/") }

// UnmarshalFlag implements [flags.Unmarshaler].
func (a *Admin) UnmarshalFlag(v string) error {
	cure := ""
	switch {
	case v == "" || strings.ContainsAny(v, "\x00\n"):
		cure = "must be HOST:PORT, such as 127.0.0.1:9090, or the path of a unix socket, such as /run/phalanx.sock"
	case strings.HasPrefix(v, "http://"), strings.HasPrefix(v, "https://"):
		cure = "is no URL; leave http:// and the path out: 127.0.0.1:9090"
	case Admin(v).Unix() && strings.HasSuffix(v, "/"):
		cure = "is a directory; name the socket: " + v + "phalanx.sock"
	case Admin(v).Unix() && len(v) > MaxSocketPath:
		cure = "is too long for the path of a unix socket; " + strconv.Itoa(MaxSocketPath) + " bytes are possible"
	case !Admin(v).Unix():
		cure = hostPortCure(v)
	}
	if cure != "" {
		return invalid("admin", v, cure)
	}
	*a = Admin(v)
	return nil
}

// hostPortCure says what HOST:PORT lacks, or "".
func hostPortCure(v string) string {
	if _, err := strconv.ParseUint(v, 10, 64); err == nil {
		return "is a port without a host; write 127.0.0.1:" + v + ", or 0.0.0.0:" + v + " for every address of this machine"
	}
	if ip, err := netip.ParseAddr(v); err == nil && ip.Is6() {
		return "needs a port; write [" + v + "]:9090"
	}
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		if !strings.Contains(v, ":") && isHost(v) {
			return "needs a port; write " + v + ":9090, or ./" + v + " for a unix socket"
		}
		return "must be HOST:PORT, such as 127.0.0.1:9090 or [::1]:9090"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "the port must be 0 to 65535 (0 takes a free one)"
	}
	if host == "" {
		return "needs a host; write 127.0.0.1" + v + ", or 0.0.0.0" + v + " for every address of this machine"
	}
	if _, err := netip.ParseAddr(host); err != nil && !isHost(host) {
		return "the host must be a name or an IP address, such as localhost, 127.0.0.1 or [::1]"
	}
	return ""
}

// isHost reports whether s can be a host's name (RFC 1123 §2.1, and the
// underscore that people use).
func isHost(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '_'
	})
}

// UnmarshalFlag implements [flags.Unmarshaler].
func (a *AccessLog) UnmarshalFlag(v string) error {
	if v == "" || strings.HasSuffix(v, "/") || strings.ContainsRune(v, 0) {
		return invalid("access-log", v, "must name a file, such as access.log, or - for standard output")
	}
	*a = AccessLog(v)
	return nil
}

// UnmarshalFlag implements [flags.Unmarshaler].
func (f *AccessLogFormat) UnmarshalFlag(v string) error {
	switch AccessLogFormat(v) {
	case AccessCommon, AccessCombined, AccessJSON:
		*f = AccessLogFormat(v)
		return nil
	}
	return invalid("access-log-format", v, "must be common, combined or json")
}
