package website

import (
	"sync/atomic"

	"phalanx/internal/conn"
	"phalanx/internal/site"
)

// changing is a site whose base is a link to the current release. An exchange uses one
// release from its beginning to its end. It may be used by as many goroutines as its files.
type changing struct {
	all   *site.Releases
	files func(*site.Root) conn.Site
	last  atomic.Pointer[release]
}

// release is the root of a release, for connections.
type release struct {
	conn.Site
	root *site.Root
}

// Find implements [conn.Sites]; it returns the current release.
func (c *changing) Find([]byte) (conn.Site, int) {
	root := c.all.Acquire()
	r := c.last.Load()
	if r == nil || r.root != root {
		r = &release{c.files(root), root}
		c.last.Store(r)
	}
	return r, 0
}

// Done implements [conn.Sites].
func (c *changing) Done(s conn.Site, _ int) { c.all.Release(s.(*release).root) }
