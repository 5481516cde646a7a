package site

import (
	"sync/atomic"
	"unsafe"
)

// bounds bound what a root, or several together, hold for clients beside the files, and of
// the kernel.
type bounds struct {
	listings budget
	archives atomic.Int32 // being made
	readmes  readmes
	notices  notices
}

func newBounds() *bounds { return &bounds{listings: budget{max: maxListed}} }

// Beside makes the root share the bounds of another one: listings, archives and READMEs
// of both take no more memory than those of one. It is called before the root is used.
func (r *Root) Beside(other *Root) { r.bounds = other.bounds }

// maxListed is how many bytes all listings of a root may hold at a time: about
// half a million entries. Each listing is held for as long as its client takes
// to read it, and clients decide how long that is.
const maxListed = 64 << 20

// budget counts the bytes that listings hold, for all goroutines.
type budget struct {
	held atomic.Int64
	max  int64
}

// take adds n bytes and reports whether they are within the budget. They are
// held either way, until they are given back.
func (b *budget) take(n int64) bool { return b.held.Add(n) <= b.max }

func (b *budget) give(n int64) { b.held.Add(-n) }

// What a listing is charged in bytes: a directory that is being read has a
// buffer, and an entry its name and twice its own size: a growing slice is partly empty, and sorting
// needs a second one.
const (
	listingCost = 16 << 10
	entryCost   = 2*int64(unsafe.Sizeof(entry{})) + nameCost
	nameCost    = 16 // what the allocator adds to a name at most, for usual ones
)
