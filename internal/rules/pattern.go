package rules

import (
	"bytes"
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// pattern is the pattern of a rule: a path, optionally with scheme and host.
type pattern struct {
	scheme string   // "http" or "https"; "": both
	host   []hole   // its labels; nil: any host
	path   []hole   // its segments
	splat  *hole    // the rest of the path; nil: none
	names  []string // of the placeholders, in order; the splat's is "splat"
}

// hole is a piece of a pattern: a literal, or one placeholder with literals before and after
// it.
type hole struct {
	prefix, suffix string
	open           bool // a placeholder is between them
}

// maxNames is the largest number of placeholders in a pattern.
const maxNames = 16

// splatName is the name of the placeholder "*".
const splatName = "splat"

// parsePattern parses a pattern.
func parsePattern(text string, at Position) (p pattern, err error) {
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok && !strings.HasPrefix(text, "/") {
		if rest, err = p.readHost(strings.ToLower(scheme), after, at); err != nil {
			return p, err
		}
	}
	switch {
	case !strings.HasPrefix(rest, "/"):
		return p, at.errorf("%q: a rule must begin with a path such as /old, or with http:// or https://", text)
	case strings.ContainsRune(rest, '?'):
		return p, at.errorf("%q: write query parameters after the path as name=value, separated by spaces", text)
	case strings.ContainsRune(rest, '#'):
		return p, at.errorf("%q: browsers do not send what follows #; leave it out", text)
	case strings.ContainsRune(rest, '\\'):
		return p, at.errorf("%q: use slashes, not backslashes", text)
	}
	before, behind, splat := strings.Cut(rest[1:], "*")
	if strings.ContainsRune(behind, '*') {
		return p, at.errorf("%q: only one * is allowed", text)
	}
	elements := strings.Split(before, "/")
	last := elements[len(elements)-1]
	if splat {
		elements = elements[:len(elements)-1]
	}
	for _, element := range elements {
		h, ok, err := p.readSegment(element, text, at)
		if err != nil {
			return p, err
		}
		if ok {
			p.path = append(p.path, h)
		}
	}
	if splat {
		if err := p.readSplat(last, behind, text, at); err != nil {
			return p, err
		}
	}
	if len(p.names) > maxNames {
		return p, at.errorf("%q: more than %d placeholders", text, maxNames)
	}
	return p, nil
}

// readHost parses "host/path" and returns the path.
func (p *pattern) readHost(scheme, text string, at Position) (path string, err error) {
	host, path, _ := strings.Cut(text, "/")
	p.scheme = scheme
	switch {
	case scheme != "http" && scheme != "https":
		return "", at.errorf("%q: only http:// and https:// are supported", scheme+"://"+text)
	case host == "" || strings.ContainsAny(host, "@[]*%?#"):
		return "", at.errorf("%q is not a valid host; a label of it may be a placeholder", host)
	case strings.Contains(host, ":") && isDigits(host[strings.LastIndexByte(host, ':')+1:]):
		return "", at.errorf("%q: a rule applies to every port of a host; leave the port out", host)
	}
	for _, label := range strings.Split(host, ".") {
		name, open := strings.CutPrefix(label, ":")
		switch {
		case open && placeholder(":"+name) != len(label), !open && strings.Contains(label, ":"):
			return "", at.errorf("%q: a placeholder in a host must be a whole label", host)
		case open:
			if err := p.add(name, at); err != nil {
				return "", err
			}
			p.host = append(p.host, hole{open: true})
		default:
			p.host = append(p.host, hole{prefix: strings.ToLower(label)})
		}
	}
	return "/" + path, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// add adds a placeholder.
func (p *pattern) add(name string, at Position) error {
	if slices.Contains(p.names, name) {
		return at.errorf("the placeholder :%s appears twice", name)
	}
	p.names = append(p.names, name)
	return nil
}

// readSegment parses a segment; false: it is empty or ".".
func (p *pattern) readSegment(element, text string, at Position) (h hole, ok bool, err error) {
	prefix, rest := cutPlaceholder(element)
	if h.prefix, ok = unescape(prefix); !ok {
		return h, false, at.errorf("%q: a %% must be followed by two hexadecimal digits, and not encode a slash or NUL", text)
	}
	if rest == "" {
		if h.prefix == ".." {
			return h, false, at.errorf("%q: requests never have .. in their path", text)
		}
		return h, h.prefix != "" && h.prefix != ".", nil
	}
	n := placeholder(rest)
	h.open = true
	if next, more := cutPlaceholder(rest[n:]); more != "" {
		return h, false, at.errorf("%q: a segment can have only one placeholder", text)
	} else if h.suffix, ok = unescape(next); !ok {
		return h, false, at.errorf("%q: a %% must be followed by two hexadecimal digits, and not encode a slash or NUL", text)
	}
	return h, true, p.add(rest[1:n], at)
}

// readSplat parses the literals before "*" in its segment and after it.
func (p *pattern) readSplat(before, behind, text string, at Position) error {
	var h hole
	var ok, fine bool
	if _, more := cutPlaceholder(before + behind); more != "" {
		return at.errorf("%q: no placeholder can follow *, nor be in its segment", text)
	}
	h.open = true
	h.prefix, ok = unescape(before)
	h.suffix, fine = unescape(strings.TrimSuffix(behind, "/"))
	if !ok || !fine {
		return at.errorf("%q: a %% must be followed by two hexadecimal digits, and not encode a slash or NUL", text)
	}
	p.splat = &h
	return p.add(splatName, at)
}

// cutPlaceholder splits text before its first placeholder.
func cutPlaceholder(text string) (before, rest string) {
	for i := range len(text) {
		if placeholder(text[i:]) > 0 {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// placeholder returns the length of the placeholder at the start of text: ":", a letter, then
// letters, digits and "_". 0: there is none.
func placeholder(text string) int {
	if len(text) < 2 || text[0] != ':' || !isLetter(text[1]) {
		return 0
	}
	n := 2
	for n < len(text) && (isLetter(text[n]) || text[n] == '_' || '0' <= text[n] && text[n] <= '9') {
		n++
	}
	return n
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// unescape decodes a part of a path.
func unescape(text string) (string, bool) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			var ok bool
			if c, ok = proto.Unescape([]byte(text[i:])); !ok || c == '/' {
				return "", false
			}
			i += 2
		}
		if c == 0 {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}

// match reports whether the pattern matches the request, whose path m has read, and appends
// the values of its placeholders to m.args.
func (p *pattern) match(m *Match, r Request) bool {
	if !p.matchHost(m, r.Host) {
		return false
	}
	rest := m.path
	for _, h := range p.path {
		segment, after, _ := bytes.Cut(rest, slash)
		if len(rest) == 0 || !h.match(m, segment) || h.open && len(m.args[len(m.args)-1]) == 0 {
			return false
		}
		rest = after
	}
	if p.splat == nil {
		return len(rest) == 0
	}
	if m.slash && len(rest) > 0 && p.splat.suffix == "" {
		rest = m.decoded[len(m.path)-len(rest):] // with the trailing slash
	}
	return p.splat.match(m, rest)
}

var slash = []byte("/")

// match reports whether the piece matches, and appends the placeholder's value to m.args.
func (h hole) match(m *Match, piece []byte) bool {
	if !h.open {
		return string(piece) == h.prefix
	}
	if !h.fits(piece) {
		return false
	}
	m.args = append(m.args, piece[len(h.prefix):len(piece)-len(h.suffix)])
	return true
}

// fits reports whether the piece has the literals around the placeholder.
func (h hole) fits(piece []byte) bool {
	return len(piece) >= len(h.prefix)+len(h.suffix) && string(piece[:len(h.prefix)]) == h.prefix && string(piece[len(piece)-len(h.suffix):]) == h.suffix
}

// matchHost reports whether a host matches. Case and a trailing dot are ignored, as they are when a
// site is chosen.
func (p *pattern) matchHost(m *Match, host []byte) bool {
	if p.host == nil {
		return true
	}
	host = bytes.TrimSuffix(host, dot)
	for i, h := range p.host {
		label, after, more := bytes.Cut(host, dot)
		if len(label) == 0 || more != (i+1 < len(p.host)) {
			return false
		}
		switch {
		case h.open:
			m.args = append(m.args, label)
		case !proto.EqualFold(label, h.prefix):
			return false
		}
		host = after
	}
	return true
}

var dot = []byte(".")
