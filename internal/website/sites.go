package website

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/site"
)

// Sites has the document roots of a server, by number: 0 is the default, for all hosts
// without a site of their own.
type Sites struct {
	Roots []*site.Root // the first is nil if other hosts are refused
	Names []string     // in logs and metrics; nil: one site for all hosts

	releases []*site.Releases // by number; nil: the root is not followed

	byHost  map[string]int // names and addresses
	beneath map[string]int // wildcards without their star: ".example.org"
	literal bool           // one of the hosts is an IPv6 address
}

// OpenSites opens the document roots in the options. An error names the flag to change, or
// the directory.
func OpenSites(o options.Options) (s *Sites, err error) {
	n := 1 + len(o.Site)
	s = &Sites{
		Names: o.SiteNames(), Roots: make([]*site.Root, n), releases: make([]*site.Releases, n),
		byHost: make(map[string]int), beneath: make(map[string]int),
	}
	if o.Default() {
		if s.Roots[0], err = Open(string(o.Base), o); err != nil {
			return nil, err
		}
	}
	for i, own := range o.Site {
		of := o
		of.Base = own.Dir
		root, err := Open(string(own.Dir), of)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("--site %s: %w", own.Name(), err)
		}
		if s.Roots[i+1] = root; s.First() != root {
			root.ShareBounds(s.First())
		}
		for _, host := range own.Hosts {
			s.add(host, i+1)
		}
	}
	return s, nil
}

func (s *Sites) add(host string, number int) {
	if rest, ok := strings.CutPrefix(host, "*"); ok {
		s.beneath[rest] = number
		return
	}
	s.byHost[host] = number
	s.literal = s.literal || host[0] == '['
}

// First returns the root of the default site, or of the first --site if there is no
// default. It is never nil.
func (s *Sites) First() *site.Root {
	if s.Roots[0] == nil {
		return s.Roots[1]
	}
	return s.Roots[0]
}

// All yields the roots that are not nil, with their numbers.
func (s *Sites) All() iter.Seq2[int, *site.Root] {
	return func(yield func(int, *site.Root) bool) {
		for number, root := range s.Roots {
			if root != nil && !yield(number, root) {
				return
			}
		}
	}
}

// Close closes the roots. Open files stay open.
func (s *Sites) Close() {
	for _, root := range s.All() {
		root.Close()
	}
}

// ReadRules reads the rules in the options and in the rules files of the sites. An error
// joins the errors of all sites; each names the site, the file and the line.
func (s *Sites) ReadRules(o options.Options) error {
	var wrong []error
	for number, root := range s.All() {
		if err := root.ReadRules(GivenRules(o)); err != nil {
			wrong = append(wrong, s.Named(number, err))
		}
	}
	return errors.Join(wrong...)
}

// Named adds the name of a site to an error, or to each error that it joins. Errors of site
// 0 are returned unchanged.
func (s *Sites) Named(number int, err error) error {
	if err == nil || number == 0 {
		return err
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, s.Named(number, err))
		}
		return errors.Join(all...)
	}
	return fmt.Errorf("site %s: %w", s.Names[number], err)
}

// Follow switches a root to new releases when the link that is its base changes; see
// [site.Root.Follows]. It must be called before Configure, and the result must be closed
// before the sites.
func (s *Sites) Follow(number int, o options.Options, tell func(site.News)) *site.Releases {
	s.releases[number] = site.Follow(s.Roots[number], GivenRules(o), tell)
	return s.releases[number]
}

// Configure sets the sites of connections in cfg. files returns the files of a root; it is
// called for each root, and later for each release.
func (s *Sites) Configure(cfg *conn.Config, files func(*site.Root) conn.Site) {
	all := make([]conn.Sites, len(s.Roots))
	for number, root := range s.Roots {
		switch {
		case root == nil:
			all[number] = fixed{}
		case s.releases[number] != nil:
			all[number] = &changing{all: s.releases[number], files: files}
		default:
			all[number] = fixed{files(root)}
		}
	}
	switch one, ok := all[0].(fixed); {
	case len(all) > 1:
		cfg.Sites = finder{s, all}
	case ok:
		cfg.Site = one.Site
	default:
		cfg.Sites = all[0]
	}
}

// fixed is a site that does not change, or nil.
type fixed struct{ conn.Site }

// Find implements [conn.Sites].
func (f fixed) Find([]byte) (conn.Site, int) { return f.Site, 0 }

// Done implements [conn.Sites].
func (f fixed) Done(conn.Site, int) {}

// finder finds sites by the hosts of requests.
type finder struct {
	*Sites
	all []conn.Sites // by number
}

// Find implements [conn.Sites].
func (f finder) Find(host []byte) (conn.Site, int) {
	number := f.Number(host)
	s, _ := f.all[number].Find(host)
	return s, number
}

// Done implements [conn.Sites].
func (f finder) Done(s conn.Site, number int) { f.all[number].Done(s, number) }

// Number returns the number of the site for the host of a request: an exact match, a
// wildcard, or 0. Case and a trailing dot are ignored.
func (s *Sites) Number(host []byte) int {
	var space [options.MaxHost + len(".")]byte
	if len(host) > len(space) {
		return 0
	}
	name := append(space[:0], host...)
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
	name = bytes.TrimSuffix(name, []byte("."))
	if number, ok := s.byHost[string(name)]; ok {
		return number
	}
	if dot := bytes.IndexByte(name, '.'); dot > 0 && len(s.beneath) > 0 {
		if number, ok := s.beneath[string(name[dot:])]; ok {
			return number
		}
	}
	if s.literal && len(name) > 2 && name[0] == '[' {
		return s.address(string(name[1 : len(name)-1]))
	}
	return 0
}

// address returns the number of the site for an IPv6 address in any notation.
func (s *Sites) address(text string) int {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return 0
	}
	return s.byHost["["+ip.String()+"]"]
}
