package options

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/jessevdk/go-flags"
)

// Bounds of the time between two looks of top.
const (
	MinInterval = 100 * time.Millisecond
	MaxInterval = time.Minute
)

// The values of commands.
type (
	// Interval is the time between two looks.
	Interval time.Duration
	// scaled is a number of workers, at least one.
	scaled int
	// target is what explain explains: a path with its query, or a URL.
	target string
	// requestField is a header field of a request, "Name: value".
	requestField string
)

// UnmarshalFlag implements [flags.Unmarshaler].
func (i *Interval) UnmarshalFlag(v string) error {
	d, err := duration("interval", v, "must be 100ms to 1m, such as 2s", func(d time.Duration) bool {
		return d >= MinInterval && d <= MaxInterval
	})
	if err == nil {
		*i = Interval(d)
	}
	return err
}

// UnmarshalFlag implements [flags.Unmarshaler].
func (s *scaled) UnmarshalFlag(v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	switch {
	case err == nil && n == 0:
		return wrong(v, "must be 1 to 1024; the command stop ends the server")
	case err != nil || n > MaxWorkers:
		return wrong(v, "must be the number of workers, 1 to 1024")
	}
	*s = scaled(n)
	return nil
}

// UnmarshalFlag implements [flags.Unmarshaler]. A request's field may be any
// that a client can send (RFC 9110 §5.5), the server's own names included.
func (f *requestField) UnmarshalFlag(v string) error {
	name, value, ok := strings.Cut(v, ":")
	if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
		return &flags.Error{Type: flags.ErrMarshal, Message: "-H " + printable(v) + ": must be 'Name: value', such as 'Range: bytes=0-9'"}
	}
	*f = requestField(name + ": " + strings.Trim(value, " \t"))
	return nil
}

// UnmarshalFlag implements [flags.Unmarshaler]. As a browser does, it leaves
// the fragment out and encodes what cannot stand in a request line.
func (t *target) UnmarshalFlag(v string) error {
	rest, _, _ := strings.Cut(v, "#")
	scheme, after, absolute := strings.Cut(rest, "://")
	if !absolute || strings.ContainsAny(scheme, "/?") {
		if !strings.HasPrefix(rest, "/") {
			return wrong(v, "must begin with a slash, such as /index.html, or with http://")
		}
		*t = encoded(rest)
		return nil
	}
	if !strings.EqualFold(scheme, "http") {
		return wrong(v, "only http:// is served; write a path, such as /index.html, or an http:// URL")
	}
	path := ""
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		after, path = after[:i], after[i:]
	}
	if cure := authorityCure(after); cure != "" {
		return wrong(v, cure)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // RFC 9110 §4.2.3
	}
	*t = "http://" + target(after) + encoded(path)
	return nil
}

// authorityCure says what is wrong with the host and the port of a URL, or "".
func authorityCure(s string) string {
	if strings.Contains(s, "@") {
		return "a user name or password is not for this server; leave out everything up to the @"
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "80"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && port != "" {
		return "the port must be a number up to 65535"
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err != nil && !isHost(host) {
		return "needs a host, such as http://localhost/index.html"
	}
	return ""
}

// encoded writes every byte that is no visible ASCII as %XX (RFC 3986 §2.1).
func encoded(s string) target {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > ' ' && c < 0x7f {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return target(b.String())
}

// wrong makes the error of an argument that belongs to no flag.
func wrong(v, cure string) error {
	return &flags.Error{Type: flags.ErrMarshal, Message: printable(v) + ": " + cure}
}
