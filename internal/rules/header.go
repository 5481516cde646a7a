package rules

import (
	"slices"
	"strings"

	"phalanx/internal/proto"
)

// block is a path of _headers with its fields.
type block struct {
	Position
	at  pattern
	ops []op
}

// op sets a header field, or removes it.
type op struct {
	Position
	name    string // as written
	lower   string
	value   []part
	remove  bool
	forCDNs bool // see ForCDNs
}

// field is an op for one request, with the values of its block's placeholders.
type field struct {
	*op
	args    [][]byte
	applied bool
}

// owned are the fields that only the server can set correctly.
var owned = names("Accept-Ranges Age Allow Connection Content-Encoding Content-Length Content-Range Date ETag Keep-Alive " +
	"Last-Modified Location Proxy-Connection Server Trailer Transfer-Encoding Upgrade WWW-Authenticate X-Request-Id")

// Owned reports whether only the server can set a field correctly. lower is its name in lower
// case. Over HTTP/2 some of them would make a response malformed (RFC 9113 §8.2.2).
func Owned(lower string) bool { return owned[lower] }

func names(list string) map[string]bool {
	set := make(map[string]bool)
	for _, name := range strings.Fields(list) {
		set[strings.ToLower(name)] = true
	}
	return set
}

// readHeaders parses _headers. A line with a path or URL begins a block; other lines belong to
// the last block, regardless of indentation. It returns when fail returns false.
func (s *Set) readHeaders(t Text, fail func(error) bool) {
	var open *block // the current block, even if its path is invalid
	bare := false   // no field has followed its path yet
	for at, line := range t.lines {
		var err error
		line = strings.TrimSpace(line)
		lower := strings.ToLower(line)
		switch {
		case len(line) > maxLine:
			err = at.errorf("the line is longer than %d bytes", maxLine)
		case line == "" || line[0] == '#':
		case line[0] == '/' || strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://"):
			if bare && !fail(open.bare()) {
				return
			}
			open, err = s.begin(line, at)
			bare = err == nil
		case open == nil:
			err = at.errorf("%q: a header field must follow a path such as /*", line)
		default:
			err, bare = open.read(line, at), false
		}
		if err != nil && (!fail(err) || len(s.blocks) == maxRules) {
			return
		}
	}
	if bare {
		fail(open.bare())
	}
}

func (b *block) bare() error { return b.errorf("no header field follows the path") }

// readHeaderOption parses "PATH: Name: value".
func (s *Set) readHeaderOption(t Text) error {
	at := Position{Name: t.Name}
	path, line, ok := strings.Cut(string(t.Bytes), ": ")
	switch {
	case !ok || len(t.Bytes) > maxLine:
		return at.errorf("it must be 'PATH: Name: value' or 'PATH: ! Name'")
	case strings.ContainsAny(string(t.Bytes), "\r\n"):
		return at.errorf("it has a line break")
	}
	b, err := s.begin(strings.TrimSpace(path), at)
	if err != nil {
		return err
	}
	return b.read(strings.TrimSpace(line), at)
}

// begin adds a block. The pointer is valid until the next call. After an error the block is
// not part of the set.
func (s *Set) begin(path string, at Position) (*block, error) {
	if len(s.blocks) == maxRules {
		return new(block), at.errorf("there are more than %d rules", maxRules)
	}
	if strings.ContainsAny(path, " \t") {
		return new(block), at.errorf("%q: a path must be on a line of its own, with %%20 for a space", path)
	}
	p, err := parsePattern(path, at)
	if err != nil {
		return new(block), err
	}
	s.headers.add(&p, int32(len(s.blocks)))
	s.blocks = append(s.blocks, block{Position: at, at: p})
	return &s.blocks[len(s.blocks)-1], nil
}

// read parses a field of the block: "Name: value", or "! Name" to remove it.
func (b *block) read(line string, at Position) error {
	name, remove := strings.CutPrefix(line, "!")
	name, value, hasValue := strings.Cut(strings.TrimSpace(name), ":")
	name, value = strings.TrimRight(name, " \t"), strings.TrimSpace(value)
	o := op{Position: at, name: name, lower: strings.ToLower(name), remove: remove, forCDNs: ForCDNs([]byte(name))}
	switch {
	case !proto.IsToken(name):
		return at.errorf("%q: a field is written 'Name: value', or '! Name' to remove it", line)
	case remove && hasValue:
		return at.errorf("%q: a field is removed with '! %s', without a value", line, name)
	case !remove && !hasValue, !remove && value == "":
		return at.errorf("%q: the field has no value; '! %s' removes it", line, name)
	case o.lower == "basic-auth":
		return at.errorf("%q: passwords do not belong in the document root; leave it out", name)
	case Owned(o.lower):
		return at.errorf("%q: the server sets this field itself; leave it out", name)
	case remove && o.lower == "vary":
		return at.errorf("%q: without this field caches would mix up responses; leave it out", name)
	case strings.ContainsFunc(value, func(c rune) bool { return c != '\t' && (c < ' ' || c > '~') }):
		return at.errorf("%q: a value must be printable ASCII, with spaces and tabs", line)
	}
	for value != "" {
		literal, rest := b.at.cut(value)
		if literal != "" {
			o.value = append(o.value, part{literal: literal, arg: -1})
		}
		if len(o.value) > maxParts {
			return at.errorf("%q: more than %d pieces and placeholders", name, maxParts)
		}
		if value = rest; rest != "" {
			n := placeholder(rest)
			o.value = append(o.value, part{arg: slices.Index(b.at.names, rest[1:n]), encode: inSplat})
			value = rest[n:]
		}
	}
	b.ops = append(b.ops, o)
	return nil
}

// cut splits a value before the first placeholder of the pattern. Other colons are literal.
func (p *pattern) cut(value string) (before, rest string) {
	for i := range len(value) {
		if n := placeholder(value[i:]); n > 0 && slices.Contains(p.names, value[i+1:i+n]) {
			return value[:i], value[i:]
		}
	}
	return value, ""
}

// Fields finds the header fields of all blocks that match the request, in order, for
// [Match.Amend]. It reports whether there are any.
func (s *Set) Fields(m *Match, r Request) bool {
	m.fields = m.fields[:0]
	if !s.Headers() || !m.read(r.Path) {
		return false
	}
	m.args = m.args[:0]
	m.hits = s.headers.find(m.hits[:0], m.path)
	for _, number := range m.hits {
		b := &s.blocks[number]
		first := len(m.args)
		if !b.at.match(m, r) {
			m.args = m.args[:first]
			continue
		}
		args := m.args[first:]
		for i := range b.ops {
			m.fields = append(m.fields, field{op: &b.ops[i], args: args})
		}
	}
	return len(m.fields) > 0
}

// Why returns the positions of the rules whose field name [Match.Amend] has set.
func (m *Match) Why(name string) (all []Position) {
	if m == nil {
		return nil
	}
	for _, f := range m.fields {
		if f.applied && !f.remove && f.lower == strings.ToLower(name) {
			all = append(all, f.Position)
		}
	}
	return all
}

// Added returns the number of lines that Amend has added.
func (m *Match) Added() int { return m.added }

// Removed yields the names of the fields that rules remove, with the positions of the rules.
func (m *Match) Removed(yield func(string, Position) bool) {
	if m == nil {
		return
	}
	for _, f := range m.fields {
		if f.remove && !yield(f.name, f.Position) {
			return
		}
	}
}
