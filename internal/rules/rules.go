// Package rules is what the owner of a site writes down in _redirects and _headers:
// bytes become a [Set], and a request becomes the rule that decides about it.
//
// A Set never changes, so that all connections can share one and take another between
// two requests. Patterns are in a trie by the segments of the path: what a request costs
// depends on its path, not on the number of rules, and nothing is allocated for it. The
// package does no I/O and imports nothing that could.
package rules

import (
	"errors"
	"fmt"
	"iter"

	"phalanx/internal/proto"
)

// Set is all the rules of a site. Its nil value has none.
type Set struct {
	redirects []redirect
	paths     tree // of redirects
	forced    bool
	blocks    []block
	headers   tree // of blocks
}

// Text is where rules are read from.
type Text struct {
	Kind  Kind
	Name  string // of the file, for errors
	Bytes []byte
	// Option says that the text is the value of a command line option, which has no
	// line numbers.
	Option bool
}

// Kind is the language of a text.
type Kind uint8

// The kinds.
const (
	Redirects Kind = iota // FROM [NAME=VALUE]... TO [STATUS[!]] on each line
	Headers               // paths, and beneath each its fields
)

// Position is where a rule was written.
type Position struct {
	Name string // of the file, or the option with its value
	Line int    // from 1; 0: it was an option
}

// String returns the position as it stands in messages.
func (p Position) String() string {
	if p.Line == 0 {
		return p.Name
	}
	return fmt.Sprintf("%s:%d", p.Name, p.Line)
}

// Error is why a text has no meaning.
type Error struct {
	Position
	Reason string
}

func (e *Error) Error() string { return e.Position.String() + ": " + e.Reason }

func (p Position) errorf(format string, args ...any) error {
	return &Error{p, fmt.Sprintf(format, args...)}
}

// Bounds of a text.
const (
	MaxText  = 4 << 20 // bytes
	maxLine  = 4000    // bytes
	maxRules = 100_000

	maxErrors = 10 // errors reported at once
)

// Parse reads the texts in order: of two redirects for a path, the one that was read first
// counts. It returns nil if they contain no rule. An error joins an [*Error] for each of the
// first ten errors.
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

// read reads a text, and returns an iterator over its errors.
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

// Forced reports whether one of them is obeyed even where there is a file.
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

// Request is what of a request rules are about.
type Request struct {
	Path   []byte // as it was sent, without query; empty stands for "/"
	Query  []byte // as it was sent, with its "?"; may be empty
	Host   []byte // without its port; may be empty
	Secure bool   // it came by HTTPS
}

// Match is what rules say of one request, and the memory for that. It is to be used
// again, by one goroutine at a time.
type Match struct {
	decoded []byte // the path without slashes at its ends, or with the last
	path    []byte // without either
	slash   bool   // it ended with one
	args    [][]byte
	values  []byte // of parameters, to which args refer
	hits    []int32

	rule     *redirect
	target   []byte // of the rule
	external bool   // the target is on another host
	compared []byte // see Match.same

	fields []field
	added  int // lines that they became
}

// read decodes the request's path. It returns false if the site refuses such a path, so
// that no rule is about it.
func (m *Match) read(path []byte) bool {
	var ok bool
	m.decoded, m.slash, ok = appendPath(m.decoded[:0], path)
	m.path = m.decoded
	if m.slash {
		m.path = m.decoded[:len(m.decoded)-1]
	}
	return ok
}

// appendPath appends the segments of a path, decoded, with single slashes between them
// and one at the end if the path had one; of the root remains nothing. It returns false
// if the site refuses such a path.
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

// endSegment drops the segment from start on if it is ".", and refuses "..".
func endSegment(dst []byte, start int) ([]byte, bool) {
	switch string(dst[start:]) {
	case ".":
		return dst[:start], true
	case "..":
		return dst, false
	}
	return dst, true
}
