package main

import (
	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// policy says what of the root is shown.
func policy(o options.Options) site.Policy {
	p := site.Policy{Dotfiles: o.Dotfiles, List: o.List, Fallback: string(o.SPA)}
	for _, name := range o.Index {
		p.Index = append(p.Index, string(name))
	}
	for _, rule := range o.Cache {
		p.Cache = append(p.Cache, site.Rule(rule))
	}
	return p
}

// uncached lets a connection open files of the root: conn knows no site, and
// site no connection.
type uncached struct{ root *site.Root }

func (u uncached) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := u.root.Open(path, codings)
	return f, status
}

func (u uncached) List(path, query []byte, json bool) (conn.Stream, proto.Status) {
	l, status := u.root.List(path, query, json)
	return l, status
}

func (u uncached) Page(s proto.Status) (conn.File, bool) {
	f, ok := u.root.Page(s)
	return f, ok
}

// cached does the same with a memory of the files, for one goroutine.
type cached struct {
	uncached
	cache *site.Cache
}

func (c cached) Page(s proto.Status) (conn.File, bool) {
	f, ok := c.cache.Page(s)
	return f, ok
}

func (c cached) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := c.cache.Open(path, codings)
	return f, status
}
