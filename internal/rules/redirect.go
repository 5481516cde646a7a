package rules

import (
	"bytes"
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// redirect is a line of _redirects.
type redirect struct {
	Position
	from   pattern
	query  []parameter // exactly the query's parameters; nil: any query
	to     target
	status proto.Status
	forced bool // applies even if a file exists
	grows  bool // it matches its own target
}

// statuses are the statuses that a rule can have.
var statuses = map[string]proto.Status{
	"200": proto.StatusOK,
	"301": proto.StatusMovedPermanently,
	"302": proto.StatusFound,
	"303": proto.StatusSeeOther,
	"307": proto.StatusTemporaryRedirect,
	"308": proto.StatusPermanentRedirect,
	"404": proto.StatusNotFound,
	"410": proto.StatusGone,
}

// readRedirects parses _redirects. It returns when fail returns false.
func (s *Set) readRedirects(t Text, fail func(error) bool) {
	for at, line := range t.lines {
		if err := s.readLine(line, at); err != nil && (!fail(err) || len(s.redirects) == maxRules) {
			return
		}
	}
}

// readLine parses a line of _redirects, which may be empty or a comment.
func (s *Set) readLine(line string, at Position) error {
	if len(line) > maxLine {
		return at.errorf("the line is longer than %d bytes", maxLine)
	}
	words := strings.Fields(line)
	if comment := slices.IndexFunc(words, func(w string) bool { return w[0] == '#' }); comment >= 0 {
		words = words[:comment]
	}
	if len(words) == 0 {
		if at.Line == 0 {
			return at.errorf("it is empty; write FROM TO [STATUS]")
		}
		return nil
	}
	if len(s.redirects) == maxRules {
		return at.errorf("there are more than %d rules", maxRules)
	}
	rule, err := readRedirect(words, at)
	if err != nil {
		return err
	}
	s.paths.add(&rule.from, int32(len(s.redirects)))
	s.redirects = append(s.redirects, rule)
	s.forced = s.forced || rule.forced
	return nil
}

// lines yields each line with its position, without line break and byte order mark.
func (t Text) lines(yield func(Position, string) bool) {
	rest := string(bytes.TrimPrefix(t.Bytes, []byte("\ufeff")))
	at := Position{Name: t.Name}
	if t.Option {
		yield(at, rest)
		return
	}
	for more := true; more; {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		at.Line++
		if !yield(at, strings.TrimSuffix(line, "\r")) {
			return
		}
	}
}

// readRedirect parses the words of a line.
func readRedirect(words []string, at Position) (r redirect, err error) {
	r.Position, r.status = at, proto.StatusMovedPermanently
	if r.from, err = parsePattern(words[0], at); err != nil {
		return r, err
	}
	words = words[1:]
	for len(words) > 0 && isParameter(words[0]) {
		if err = r.readParameter(words[0]); err != nil {
			return r, err
		}
		words = words[1:]
	}
	if len(words) == 0 || strings.Trim(words[0], "0123456789!") == "" {
		return r, at.errorf("it has no target; write FROM TO [STATUS]")
	}
	to := words[0]
	if words = words[1:]; len(words) > 0 && !strings.Contains(words[0], "=") {
		status, forced := strings.CutSuffix(words[0], "!")
		var ok bool
		if r.status, ok = statuses[status]; !ok {
			return r, at.errorf("%q: the status must be 200, 301, 302, 303, 307, 308, 404 or 410, optionally followed by !", words[0])
		}
		r.forced, words = forced, words[1:]
	}
	if len(words) > 0 {
		return r, unknown(words[0], at)
	}
	r.to, err = parseTarget(to, r.from.names, at)
	if err == nil && r.to.external && !r.moves() {
		err = at.errorf("%q: a rule with %d serves a file of this site, never from another host; write its path, or redirect with 302", to, r.status)
	}
	return r, err
}

// unknown returns the error for text after the status, such as conditions that other hosts
// support. Ignoring a condition would apply the rule to more requests than intended.
func unknown(word string, at Position) error {
	name, _, _ := strings.Cut(word, "=")
	switch strings.ToLower(name) {
	case "country", "language", "role", "cookie":
		return at.errorf("%q: rules cannot depend on country, language, role or cookie; leave the rule out", word)
	case "sign", "signed":
		return at.errorf("%q: proxying to other hosts is not supported; leave the rule out", word)
	}
	return at.errorf("%q: unexpected text; a rule ends with its status", word)
}

// moves reports whether the rule is a redirect to the client (3xx).
func (r *redirect) moves() bool {
	return r.status/100 == 3
}

// Find finds the first rule that matches the path, host and parameters of the request. A rule
// that would redirect to the request's own URL is skipped.
func (s *Set) Find(m *Match, r Request) bool {
	if !s.Redirects() || !m.read(r.Path) {
		return false
	}
	m.hits = s.paths.find(m.hits[:0], m.path)
	for _, number := range m.hits {
		if m.try(&s.redirects[number], r) {
			return true
		}
	}
	return false
}

// try reports whether the rule matches the request, and makes its target.
func (m *Match) try(rule *redirect, r Request) bool {
	m.args, m.values = m.args[:0], m.values[:0]
	if !rule.from.match(m, r) || rule.from.scheme != "" && (rule.from.scheme == "https") != r.Secure {
		return false
	}
	if len(rule.query) > 0 && !rule.matchQuery(m, r.Query) {
		return false
	}
	m.rule, m.external = rule, rule.to.external
	if !rule.moves() {
		m.target = rule.to.appendPath(m.target[:0], m.args)
		return true
	}
	passed := r.Query
	if len(rule.query) > 0 {
		passed = nil
	}
	m.target = rule.to.append(m.target[:0], m.args, passed)
	return !m.same(r)
}

// same reports whether the target is the URL of the request.
func (m *Match) same(r Request) bool {
	target := m.target
	if m.external {
		scheme, rest, _ := bytes.Cut(target, []byte("://"))
		authority := rest
		if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
			authority = rest[:i]
		}
		if (string(scheme) == "https") != r.Secure || !r.at(authority) {
			return false
		}
		target = rest[len(authority):]
	}
	target, _, _ = bytes.Cut(target, []byte("#"))
	path, query, _ := bytes.Cut(target, []byte("?"))
	if m.external {
		var inside bool
		if path, inside = r.inside(path); !inside {
			return false
		}
	}
	if !bytes.Equal(query, bytes.TrimPrefix(r.Query, []byte("?"))) {
		return false
	}
	var slash, ok bool
	m.compared, slash, ok = appendPath(m.compared[:0], path)
	return ok && slash == m.slash && bytes.Equal(m.compared, m.decoded)
}

// inside returns the path in the site of the path of a URL; false if it lacks the prefix.
func (r Request) inside(path []byte) ([]byte, bool) {
	n := len(r.Prefix)
	if len(path) < n || string(path[:n]) != r.Prefix || len(path) > n && path[n] != '/' {
		return nil, false
	}
	return path[n:], true
}

// at reports whether the request is for an authority, a host with or without a port. One
// without a port is that of every port: behind a proxy, the port in the request may not be the
// client's.
func (r Request) at(authority []byte) bool {
	host, port := proto.CutPort(authority)
	switch {
	case !bytes.EqualFold(host, r.Host):
		return false
	case len(port) == 0:
		return true
	case len(r.Port) > 0:
		return bytes.Equal(port, r.Port)
	case r.Secure:
		return string(port) == "443"
	}
	return string(port) == "80"
}

// Status returns the status of the rule: that of a redirect, or 200, 404 or 410 with a file.
func (m *Match) Status() proto.Status { return m.rule.status }

// Moves reports whether the rule is a redirect to the client (3xx).
func (m *Match) Moves() bool { return m.rule.moves() }

// Forced reports whether the rule applies even if a file exists.
func (m *Match) Forced() bool { return m.rule.forced }

// Grows reports whether the rule matches its own target. It then applies only if the target
// exists; otherwise a client would follow it without end.
func (m *Match) Grows() bool { return m.rule.grows }

// Target returns the URL of a redirect, or the path of the file, percent-encoded. It is valid
// until the next use of m.
func (m *Match) Target() []byte { return m.target }

// External reports whether the target is a URL with a host, and not a path of this site.
func (m *Match) External() bool { return m.external }

// Position returns the position of the rule.
func (m *Match) Position() Position { return m.rule.Position }
