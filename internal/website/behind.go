package website

import (
	"crypto/subtle"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// behind is a site behind a prefix that nobody can guess: without it, no path leads
// to anything, not even to the site's own error pages.
type behind struct {
	conn.Site
	prefix string // "/" and a name of letters and digits
}

// inside returns what follows the prefix of a path.
func (b behind) inside(path []byte) (rest []byte, s proto.Status) {
	n := len(b.prefix)
	switch {
	case len(path) < n || subtle.ConstantTimeCompare(path[:n], []byte(b.prefix)) != 1:
		return nil, proto.StatusNotFound
	case len(path) == n:
		return nil, proto.StatusMovedPermanently
	case path[n] != '/':
		return nil, proto.StatusNotFound
	}
	return path[n:], proto.StatusOK
}

func (b behind) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	path, status := b.inside(path)
	if status != proto.StatusOK {
		return nil, status
	}
	return b.Site.Open(path, codings)
}

func (b behind) List(path, query []byte, json bool) (conn.Stream, proto.Status) {
	path, status := b.inside(path)
	if status != proto.StatusOK {
		return nil, status
	}
	return b.Site.List(path, query, json)
}

func (b behind) Archive(path []byte, format string) (conn.Stream, proto.Status) {
	path, status := b.inside(path)
	if status != proto.StatusOK {
		return nil, status
	}
	return b.Site.Archive(path, format)
}

func (b behind) Fallback(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	path, status := b.inside(path)
	if status != proto.StatusOK {
		return nil, status
	}
	return b.Site.Fallback(path, codings)
}

func (behind) Page(proto.Status) (conn.File, bool) { return nil, false }
