// Package rules parses _redirects and _headers into a [Set], and finds the rules that match a
// request.
//
// A Set is immutable, so connections can share it and switch to another one between two
// requests. Patterns are in a trie by path segments: the cost of a lookup depends on the path,
// not on the number of rules, and it does not allocate. The package does no I/O.
package rules

import (
	"errors"
	"fmt"
	"iter"

	"phalanx/internal/proto"
)

// Set is the rules of a site. A nil Set has no rules.
type Set struct {
	redirects []redirect
	paths     tree // of redirects
	forced    bool
	blocks    []block
	headers   tree // of blocks
}

// Text is a text with rules.
type Text struct {
	Kind  Kind
	Name  string // of the file, for errors
	Bytes []byte
	// Option: the text is the value of a command line flag, without line numbers.
	Option bool
}

// Kind is the syntax of a text.
type Kind uint8

// The kinds.
const (
	Redirects Kind = iota // FROM [NAME=VALUE]... TO [STATUS[!]] on each line
	Headers               // paths, each followed by its fields
)

// Position is the position of a rule in its source.
type Position struct {
	Name string // of the file, or the flag with its value
	Line int    // from 1; 0: a flag
}

// String returns the position for messages.
func (p Position) String() string {
	if p.Line == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s:%d", p.Name, p.Line)
}

// Error is a syntax error in a text.
type Error struct {
	Position
	Reason string
}

func (e *Error) Error() string { return e.Position.String() + ": " + e.Reason }

func (p Position) errorf(format string, args ...any) error {
	return &Error{p, fmt.Sprintf(format, args...)}
}

// Limits of a text.
const (
	MaxText  = 4 << 20 // bytes
	maxLine  = 4000    // bytes
	maxRules = 100_000

	maxErrors = 10 // errors reported at once
)

// Parse parses the texts in order: of two redirects for a path the first one applies. It
// returns nil if there are no rules. The error joins an [*Error] for each of the first ten
// errors.
func Parse(texts ...Text) (*Set, error) {
	s := new(Set)
	var wrong []error
	for _, t := range texts {
		for err := range s.read(t) {
			if len(wrong) == maxErrors {
				return nil, errors.Join(append(wrong, Position{Name: t.Name}.errorf("there are more errors"))...)
			}
			wrong = append(wrong, err)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if len(s.redirects) == 0 && len(s.blocks) == 0 {
		return nil, nil
	}
	if err := s.checkLoops(); err != nil {
		return nil, err
	}
	return s, nil
}

// read returns an iterator that parses a text and yields its errors.
func (s *Set) read(t Text) iter.Seq[error] {
	return func(yield func(error) bool) {
		switch {
		case len(t.Bytes) > MaxText:
			yield(Position{Name: t.Name}.errorf("it is longer than %d bytes", MaxText))
		case t.Kind == Redirects:
			s.readRedirects(t, yield)
		case t.Option:
			if err := s.readHeaderOption(t); err != nil {
				yield(err)
			}
		default:
			s.readHeaders(t, yield)
		}
	}
}

// Redirects reports whether there are rules for [Set.Find].
func (s *Set) Redirects() bool { return s != nil && len(s.redirects) > 0 }

// Forced reports whether a redirect applies even if a file exists.
func (s *Set) Forced() bool { return s != nil && s.forced }

// Headers reports whether there are rules for [Set.Fields].
func (s *Set) Headers() bool { return s != nil && len(s.blocks) > 0 }

// Size returns the number of redirects, and of paths with header fields.
func (s *Set) Size() (redirects, headers int) {
	if s == nil {
		return 0, 0
	}
	return len(s.redirects), len(s.blocks)
}

// Request has the parts of a request that rules depend on.
type Request struct {
	Path   []byte // as it was sent, without query; empty stands for "/"
	Query  []byte // as it was sent, with its "?"; may be empty
	Host   []byte // without its port; may be empty
	Port   []byte // empty: the default port
	Secure bool   // it came by HTTPS
	Prefix string // of the site, which Path lacks
}

// Match is the result of matching a request, and memory that is reused for the next one. It is
// not safe for concurrent use.
type Match struct {
	decoded []byte // the path without leading slash, with the trailing one if there is one
	path    []byte // without both
	slash   bool   // there was a trailing slash
	args    [][]byte
	values  []byte // of parameters, to which args refer
	hits    []int32

	rule     *redirect
	target   []byte // of the rule
	external bool   // the target is on another host
	compared []byte // see Match.same

	fields []field
	added  int // lines added by Amend
}

// read decodes the request's path. It returns false for a path that the site refuses, which no
// rule matches.
func (m *Match) read(path []byte) bool {
	var ok bool
	m.decoded, m.slash, ok = appendPath(m.decoded[:0], path)
	m.path = m.decoded
	if m.slash {
		m.path = m.decoded[:len(m.decoded)-1]
	}
	return ok
}

// appendPath appends the decoded segments of a path, with single slashes between them and one
// at the end if the path had one. The root becomes empty. ok is false for a path that the site
// refuses.
func appendPath(dst, path []byte) (_ []byte, slash, ok bool) {
	first, start := len(dst), len(dst)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch c {
		case '/':
			if dst, ok = endSegment(dst, start); !ok {
				return dst, false, false
			}
			if len(dst) > start {
				dst = append(dst, '/')
				start = len(dst)
			}
			continue
		case '%':
			if c, ok = proto.Unescape(path[i:]); !ok || c == '/' {
				return dst, false, false
			}
			i += 2
		}
		if c == 0 {
			return dst, false, false
		}
		dst = append(dst, c)
	}
	dst, ok = endSegment(dst, start)
	return dst, len(dst) > first && dst[len(dst)-1] == '/', ok
}

// endSegment drops the last segment, from start on, if it is ".", and refuses "..".
func endSegment(dst []byte, start int) ([]byte, bool) {
	switch string(dst[start:]) {
	case ".":
		return dst[:start], true
	case "..":
		return dst, false
	}
	return dst, true
}
