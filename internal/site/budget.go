package site

import (
	"sync/atomic"
	"unsafe"
)

// bounds limits the memory and kernel resources that one or several roots use for clients,
// besides files.
type bounds struct {
	listings budget
	archives atomic.Int32 // archives being made
	readmes  readmes
	notices  notices
}

func newBounds() *bounds { return &bounds{listings: budget{max: maxListed}} }

// ShareBounds makes the root share the bounds of another one: listings, archives and READMEs
// of both together are limited like those of one. It must be called before the root is used.
func (r *Root) ShareBounds(other *Root) { r.bounds = other.bounds }

// maxListed is the maximum number of bytes of all listings of a root at a time: about half a
// million entries. Each listing is held for as long as its client takes to read it.
const maxListed = 64 << 20

// budget counts the bytes that listings hold, for all goroutines.
type budget struct {
	held atomic.Int64
	max  int64
}

// take adds n bytes and reports whether they are within the budget. They count either way,
// until give.
func (b *budget) take(n int64) bool { return b.held.Add(n) <= b.max }

func (b *budget) give(n int64) { b.held.Add(-n) }

// Costs of a listing in bytes: the buffer for reading the directory, and for each entry its
// name and twice its own size, since a growing slice is partly empty and is copied.
const (
	listingCost = 16 << 10
	entryCost   = 2*int64(unsafe.Sizeof(entry{})) + nameCost
	nameCost    = 16 // allocator overhead of a name of usual length, at most
)
