package rules

import (
	"bytes"
	"slices"
)

// tree finds the patterns that may match a path. It is a trie whose edges are segments. A
// search visits each node at most once and follows at most one literal edge of a node.
type tree struct{ root node }

type node struct {
	literal map[string]*node
	open    []edge    // segments with a placeholder
	ends    []int32   // patterns without a splat that end here
	splats  []splatAt // the others
}

type edge struct {
	hole
	to *node
}

type splatAt struct {
	hole
	pattern int32
}

// add adds a pattern by its number.
func (t *tree) add(p *pattern, number int32) {
	n := &t.root
	for _, h := range p.path {
		n = n.child(h)
	}
	if p.splat == nil {
		n.ends = append(n.ends, number)
	} else {
		n.splats = append(n.splats, splatAt{*p.splat, number})
	}
}

func (n *node) child(h hole) *node {
	if !h.open {
		if n.literal == nil {
			n.literal = make(map[string]*node)
		}
		if n.literal[h.prefix] == nil {
			n.literal[h.prefix] = new(node)
		}
		return n.literal[h.prefix]
	}
	for _, e := range n.open {
		if e.hole == h {
			return e.to
		}
	}
	next := new(node)
	n.open = append(n.open, edge{h, next})
	return next
}

// find appends the numbers of the patterns whose paths fit, in ascending order.
func (t *tree) find(dst []int32, path []byte) []int32 {
	dst = t.root.find(dst, path)
	if len(dst) > 1 {
		slices.Sort(dst)
	}
	return dst
}

func (n *node) find(dst []int32, rest []byte) []int32 {
	for _, s := range n.splats {
		if s.fits(rest) {
			dst = append(dst, s.pattern)
		}
	}
	if len(rest) == 0 {
		return append(dst, n.ends...)
	}
	segment, after, _ := bytes.Cut(rest, slash)
	if next := n.literal[string(segment)]; next != nil {
		dst = next.find(dst, after)
	}
	for _, e := range n.open {
		if e.fits(segment) {
			dst = e.to.find(dst, after)
		}
	}
	return dst
}
