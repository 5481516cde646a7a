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
	open    *node     // a whole segment is a placeholder
	partly  []edge    // a part of one is
	ends    []int32   // patterns without a splat that end here
	rest    []int32   // patterns that end with a bare *
	splats  []splatAt // other splats
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
	switch {
	case p.splat == nil:
		n.ends = append(n.ends, number)
	case p.splat.prefix == "" && p.splat.suffix == "":
		n.rest = append(n.rest, number)
	default:
		n.splats = append(n.splats, splatAt{*p.splat, number})
	}
}

func (n *node) child(h hole) *node {
	switch {
	case !h.open:
		next := n.literal[h.prefix]
		if next == nil {
			if n.literal == nil {
				n.literal = make(map[string]*node)
			}
			next = new(node)
			n.literal[h.prefix] = next
		}
		return next
	case h.prefix == "" && h.suffix == "":
		if n.open == nil {
			n.open = new(node)
		}
		return n.open
	}
	for _, e := range n.partly {
		if e.hole == h {
			return e.to
		}
	}
	next := new(node)
	n.partly = append(n.partly, edge{h, next})
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
	dst = append(dst, n.rest...)
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
	if n.open != nil {
		dst = n.open.find(dst, after)
	}
	for _, e := range n.partly {
		if e.fits(segment) {
			dst = e.to.find(dst, after)
		}
	}
	return dst
}
