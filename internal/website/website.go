// Package website turns options into the configuration of a website: which files of the
// root are visible, how connections respond, and how they open files. Workers use it to
// serve and the master to explain, so both give the same responses.
package website

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/rules"
	"phalanx/internal/site"
)

// conn can measure every rate that the options allow.
const _ = uint(conn.MaxRate - options.MaxMinRate)

// Open opens the base with the policy of the options. An error names the flag to change, or
// the base.
func Open(base string, o options.Options) (*site.Root, error) {
	if len(o.Shared.Paths) > 0 {
		return site.OpenShares(o.Shared.Paths, Policy(o))
	}
	root, err := site.Open(base, Policy(o))
	if errors.Is(err, site.ErrFallback) {
		return nil, fmt.Errorf("--spa: %w; name a file in the document root", err)
	}
	return root, err
}

// Policy returns which files of the root are visible.
func Policy(o options.Options) site.Policy {
	p := site.Policy{Dotfiles: o.Dotfiles, Rules: !o.NoRules, Clean: o.Clean, List: o.List, Fallback: string(o.SPA), Archive: o.Archive, Name: rootName(o), Readme: o.List && !o.NoReadme, Areas: areas(o)}
	p.Symlinks = map[options.Symlinks]site.Symlinks{options.SymlinksBeneath: site.LinksBeneath, options.SymlinksNone: site.LinksNone}[o.Symlinks]
	for _, name := range o.Index {
		p.Index = append(p.Index, string(name))
	}
	for _, rule := range o.Cache {
		p.Cache = append(p.Cache, site.Rule(rule))
	}
	for _, rule := range o.Type {
		p.Types = append(p.Types, site.Rule(rule))
	}
	return p
}

// GivenRules returns the rules of the options.
func GivenRules(o options.Options) (texts []rules.Text) {
	for _, r := range o.Redirect {
		texts = append(texts, r.Text())
	}
	for _, field := range o.Header {
		if text, ok := field.Text(); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// rootName returns the name of an archive of the whole root: the last element of the base,
// "" if that is not a name.
func rootName(o options.Options) string {
	name := filepath.Base(string(o.Base))
	if !o.Archive || len(o.Shared.Paths) > 0 || name == "/" || name == "." || name == ".." {
		return ""
	}
	return name
}

// server returns the value of the Server field.
func server(o options.Options) string {
	if o.ServerTokens == options.Off {
		return "phalanx"
	}
	return "phalanx/" + options.Version
}

// Config returns the configuration of connections, without the sites: see
// [Sites.Configure].
func Config(o options.Options) conn.Config {
	var header []string
	for _, field := range o.Header {
		if _, ruled := field.Text(); !ruled {
			header = append(header, string(field))
		}
	}
	cfg := conn.Config{
		Server:    server(o),
		KeepAlive: time.Duration(o.KeepAlive),
		MinRate:   int(o.MinRate),
		Expires:   time.Duration(o.Expires),
		Single:    o.Model == options.Serial,
		HTTP2:     o.SpeaksHTTP2(),
		List:      o.List,
		Fallback:  o.SPA != "",
		CORS:      o.CORS,
		HSTS:      time.Duration(o.HSTS),
		Header:    header,

		Prefix:      cmp.Or(o.Shared.Prefix, string(o.Prefix)),
		Credentials: o.Shared.Credentials,
		Trust:       o.Trust(),
		Access:      o.Access(),
	}
	if o.Archive {
		cfg.Archive = site.ArchiveFormat
	}
	if o.RequestIDs() {
		cfg.ID = appendID
	}
	return cfg
}

// Uncached adapts a root for connections: packages conn and site do not import each other.
func Uncached(root *site.Root) conn.Site { return files{root, root} }

// Cached is Uncached with a cache of the root's files, for one goroutine.
func Cached(root *site.Root, cache *site.Cache) conn.Site { return files{root, cache} }

type files struct {
	root *site.Root
	from opener
}

// opener is a root or its cache.
type opener interface {
	Open(path []byte, codings proto.Codings, access *proto.Access) (*site.File, proto.Status)
	Fallback(path []byte, codings proto.Codings, access *proto.Access) (*site.File, proto.Status)
	Page(s proto.Status, access *proto.Access) (*site.File, bool)
}

func (f files) Open(path []byte, codings proto.Codings, access *proto.Access) (conn.File, proto.Status) {
	file, status := f.from.Open(path, codings, access)
	return file, status
}

func (f files) List(path, query []byte, json bool, access *proto.Access) (conn.Stream, proto.Status) {
	l, status := f.root.List(path, query, json, access)
	return l, status
}

func (f files) Archive(path []byte, format string, access *proto.Access) (conn.Stream, proto.Status) {
	a, status := f.root.Archive(path, format, access)
	return a, status
}

func (f files) Fallback(path []byte, codings proto.Codings, access *proto.Access) (conn.File, proto.Status) {
	file, status := f.from.Fallback(path, codings, access)
	return file, status
}

func (f files) Rules() *rules.Set { return f.root.Rules() }

func (f files) Page(s proto.Status, access *proto.Access) (conn.File, bool) {
	file, ok := f.from.Page(s, access)
	return file, ok
}
