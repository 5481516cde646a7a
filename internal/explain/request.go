package explain

import (
	"fmt"
	"strconv"
	"strings"

	"phalanx/internal/clientip"
	"phalanx/internal/exitcode"
	"phalanx/internal/proto"
)

// Request is the head of a request that is to be explained.
type Request struct {
	Method  string        // as it goes over the wire
	Target  string        // as it goes over the wire
	Version string        // empty stands for HTTP/2 if browsers would use it, and else for HTTP/1.1
	Fields  []string      // "Name: value", in order
	Scheme  string        // "http" or "https"; empty: it was not given
	From    clientip.Addr // whose connection it comes on; if that is not known and matters, this machine's
	Notes   []string      // what was done to what the user gave, for the report
}

// NewRequest makes a request of a method, empty for GET, a URL and header
// fields, "Name: value". The URL is a path with perhaps a query, or an http or https URL
// on any host, or "*" for OPTIONS. What no target may hold is encoded as
// browsers do, and noted. The request has a Host unless the fields bring one:
// that of the URL, or localhost. An error is a [*exitcode.Error].
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
		r.Notes = append(r.Notes, fmt.Sprintf("No target may hold a space or a control character: %q was encoded, as browsers do.", target))
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

// split takes a URL apart into its scheme, what Host says, and the target.
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
		return refuse("a user and a password are no part of a request; leave them out")
	case strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return refuse("the host must be ASCII without spaces; a name in other letters begins with xn--")
	}
	return scheme, host, target, nil
}

// inTarget reports whether the parser takes the byte in a target.
func inTarget(c byte) bool { return c > ' ' && c != 0x7f }

// lines are those of the head.
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

// wire is the head as it goes over the wire. A line with a line break in it
// would be another head than the report shows.
func (r Request) wire() ([]byte, error) {
	var head []byte
	for _, line := range r.lines() {
		if line == "" || strings.ContainsAny(line, "\r\n") {
			return nil, exitcode.New(exitcode.Usage, "the line "+strconv.Quote(line)+" is no single line of a request; leave line breaks out", nil)
		}
		head = append(append(head, line...), "\r\n"...)
	}
	return append(head, "\r\n"...), nil
}
