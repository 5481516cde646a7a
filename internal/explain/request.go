package explain

import (
	"fmt"
	"strconv"
	"strings"

	"phalanx/internal/clientip"
	"phalanx/internal/exitcode"
	"phalanx/internal/proto"
)

// Request is the head of a request to be explained.
type Request struct {
	Method  string        // on the wire
	Target  string        // on the wire
	Version string        // "": HTTP/2 if browsers would use it, otherwise HTTP/1.1
	Fields  []string      // "Name: value", in order
	Scheme  string        // "http" or "https"; "": not given
	From    clientip.Addr // address of the client; unknown: 127.0.0.1 where it matters
	Notes   []string      // how the user's input was changed, for the report
}

// NewRequest returns a request with a method, "" for GET, a URL and header fields,
// "Name: value". The URL is a path with an optional query, or an http or https URL on any
// host, or "*" for OPTIONS. Characters that a target must not contain are encoded as
// browsers do, and noted. Without a Host field, the request gets one with the host of the
// URL, or localhost. An error is a [*exitcode.Error].
func NewRequest(method, url string, fields []string) (Request, error) {
	r := Request{Method: method}
	if method == "" {
		r.Method = "GET"
	}
	scheme, host, target, err := split(url)
	if err != nil {
		return Request{}, err
	}
	r.Scheme = scheme
	if before, fragment, ok := strings.Cut(target, "#"); ok {
		target = before
		r.Notes = append(r.Notes, fmt.Sprintf("The fragment %q stays with the client.", "#"+fragment))
	}
	r.Target = string(proto.AppendEscaped(nil, target, inTarget))
	if r.Target != target {
		r.Notes = append(r.Notes, fmt.Sprintf("No target may contain a space or a control character: %q was encoded, as browsers do.", target))
	}
	if strings.ContainsFunc(r.Target, func(c rune) bool { return c >= 0x80 }) {
		r.Notes = append(r.Notes, "Bytes beyond ASCII are sent as they are, as curl does; browsers encode them, which names the same file.")
	}
	named := false
	for _, field := range fields {
		name, value, ok := strings.Cut(field, ":")
		if !ok || name == "" {
			return Request{}, exitcode.New(exitcode.Usage, "-H "+strconv.Quote(field)+": must be 'Name: value', such as 'Accept-Encoding: br'", nil)
		}
		if strings.ContainsAny(field, "\r\n") {
			return Request{}, exitcode.New(exitcode.Usage, "-H "+strconv.Quote(field)+": a field is one line; give each its own -H", nil)
		}
		named = named || strings.EqualFold(name, "host")
		r.Fields = append(r.Fields, name+": "+strings.Trim(value, " \t"))
	}
	if !named {
		r.Fields = append([]string{"Host: " + host}, r.Fields...)
	}
	return r, nil
}

// split splits a URL into its scheme, the value of Host, and the target.
func split(url string) (scheme, host, target string, err error) {
	refuse := func(cure string) (string, string, string, error) {
		return "", "", "", exitcode.New(exitcode.Usage, "URL "+strconv.Quote(url)+": "+cure, nil)
	}
	if strings.HasPrefix(url, "/") || url == "*" {
		return "", "localhost", url, nil
	}
	scheme, rest, ok := strings.Cut(url, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok || strings.ContainsAny(scheme, "/?#"):
		return refuse("must be a path such as /a.html, or http://HOST/a.html")
	case scheme != "http" && scheme != "https":
		return refuse("only http and https are served; give the path, or the URL with http://")
	}
	host, target = rest, "/"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		if host, target = rest[:i], rest[i:]; target[0] != '/' {
			target = "/" + target
		}
	}
	switch {
	case host == "":
		return refuse("it has no host; give one, or the path alone")
	case strings.Contains(host, "@"):
		return refuse("must not contain a user and a password; leave them out")
	case strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return refuse("the host must be ASCII without spaces; a name in other letters begins with xn--")
	}
	return scheme, host, target, nil
}

// inTarget reports whether the parser accepts the byte in a target.
func inTarget(c byte) bool { return c > ' ' && c != 0x7f }

// lines returns the lines of the head.
func (r Request) lines() []string {
	version := r.Version
	if version == "" {
		version = "HTTP/1.1"
	}
	lines := append([]string{r.Method + " " + r.Target + " " + version}, r.Fields...)
	for i, field := range r.Fields {
		if name, value, _ := strings.Cut(field, ":"); version == versionHTTP2 {
			lines[1+i] = strings.ToLower(name) + ":" + value
		}
	}
	return lines
}

// wire returns the head on the wire. A line must not contain a line break: the head would
// differ from the one in the report.
func (r Request) wire() ([]byte, error) {
	var head []byte
	for _, line := range r.lines() {
		if line == "" || strings.ContainsAny(line, "\r\n") {
			return nil, exitcode.New(exitcode.Usage, "the line "+strconv.Quote(line)+" must not be empty or contain a line break", nil)
		}
		head = append(append(head, line...), "\r\n"...)
	}
	return append(head, "\r\n"...), nil
}
