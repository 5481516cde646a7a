package accesslog

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// The header of a ring: each side writes to a cache line of its own.
const (
	headAt   = 0   // worker: bytes written since the beginning
	lostAt   = 8   // worker: lines dropped
	tailAt   = 64  // reader: bytes consumed since the beginning
	toldAt   = 72  // reader: value of lost when it was last read
	bellAt   = 128 // unread bytes at which to wake the reader
	ringData = 192 // offset of the data
)

// MinRing is the minimum size of a ring's memory in bytes.
const MinRing = 4096

const (
	// bellNever is the threshold of a ring whose reader has been woken.
	bellNever = math.MaxUint64
	// maxPosition is beyond any real position: 14 years at 10 GB per second.
	maxPosition = 1 << 62
)

// Ring is a queue of lines in shared memory with one writing and one reading
// process. All of its state is in that memory, so either side may be replaced.
//
// Positions only grow; modulo the size they are offsets into the data. One byte
// always stays free, so that the last byte read is still there and tells whether
// reading stopped within a line.
type Ring struct {
	head, lost, tail, told, bell *atomic.Uint64
	data                         []byte
}

// NewRing uses mem as a ring, with the contents another Ring has left there; fresh
// memory must be zero. It must be aligned to 8 bytes, and its size a multiple of 8
// and at least [MinRing].
func NewRing(mem []byte) (*Ring, error) {
	switch {
	case len(mem) < MinRing:
		return nil, fmt.Errorf("ring of %d bytes: needs at least %d", len(mem), MinRing)
	case len(mem)%8 != 0 || uintptr(unsafe.Pointer(&mem[0]))%8 != 0:
		return nil, fmt.Errorf("ring of %d bytes at %p: not aligned to 8 bytes", len(mem), mem)
	}
	word := func(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&mem[at])) }
	return &Ring{
		head: word(headAt), lost: word(lostAt), tail: word(tailAt), told: word(toldAt), bell: word(bellAt),
		data: mem[ringData:],
	}, nil
}

// Write adds a line, including its newline. A line that does not fit is dropped and
// counted, and Write returns false. It never blocks, and is not safe for concurrent
// use.
func (r *Ring) Write(line []byte) bool {
	head, used, ok := r.state()
	if !ok || uint64(len(line)) > r.room()-used {
		r.lost.Add(1)
		return false
	}
	n := copy(r.data[head%uint64(len(r.data)):], line)
	copy(r.data, line[n:])
	// This publishes the line; a worker killed before has written nothing.
	r.head.Store(head + uint64(len(line)))
	return true
}

// Waiting returns the number of unread bytes, to the writing or reading goroutine.
func (r *Ring) Waiting() int {
	_, used, _ := r.state()
	return int(used)
}

// Due reports, once each time the threshold is reached, that it is time to [Wake]
// the reader. The writing side calls it after each Write, successful or not.
//
// The reader sets the threshold: while it sleeps, to the first line; otherwise, since it
// will read soon anyway, to a quarter of the ring.
func (r *Ring) Due() bool {
	bell := r.bell.Load()
	if bell == bellNever {
		return false
	}
	_, used, ok := r.state()
	return (!ok || used >= bell) && r.bell.Swap(bellNever) != bellNever
}

// Readable returns the unread bytes, whole lines, in up to two pieces, valid until
// [Ring.Consume]. A header that its worker has corrupted is reset: the ring is then empty,
// and one line counts as lost, since the real number is unknown.
func (r *Ring) Readable() (a, b []byte) {
	head, used, ok := r.state()
	if !ok {
		r.reset()
		return nil, nil
	}
	size := uint64(len(r.data))
	from := (head - used) % size
	if from+used <= size {
		return r.data[from : from+used], nil
	}
	return r.data[from:], r.data[:from+used-size]
}

// Consume frees n bytes, at most as many as Readable has returned.
func (r *Ring) Consume(n int) { r.tail.Add(uint64(n)) }

// state returns the position of the next line, the number of unread bytes, and whether
// both are valid. The caller's own position does not change meanwhile; the other side can
// only add lines, if the caller reads, or free space, if it writes.
func (r *Ring) state() (head, used uint64, ok bool) {
	head, tail := r.head.Load(), r.tail.Load()
	used = head - tail
	if head >= maxPosition || tail > head || used > r.room() {
		return 0, 0, false
	}
	return head, used, true
}

func (r *Ring) room() uint64 { return uint64(len(r.data)) - 1 }

// reset empties the ring. The writing side adds nothing while the header is invalid,
// so there is no race, unless the worker corrupts it again: then the next read resets
// it once more.
func (r *Ring) reset() {
	r.tail.Store(0)
	r.head.Store(0)
	r.lost.Add(1)
}

// torn reports that the bytes read so far end within a line.
func (r *Ring) torn() bool {
	tail := r.tail.Load()
	return tail > 0 && r.data[(tail-1)%uint64(len(r.data))] != '\n'
}

// ringAt sets the threshold of Due in unread bytes. The reader checks the ring
// afterwards: either it sees a line, or the writing side sees the threshold.
func (r *Ring) ringAt(unread int) { r.bell.Store(uint64(unread)) }

func (r *Ring) quarter() int { return len(r.data) / 4 }

// newlyLost returns the number of lines lost since the last call. The count at that call
// is kept in the ring, since its reader may be replaced.
func (r *Ring) newlyLost() uint64 {
	lost, told := r.lost.Load(), r.told.Load()
	r.told.Store(lost)
	if n := lost - told; n <= maxTold {
		return n
	}
	return 1 // the counter decreased or is absurd: a worker has corrupted it
}

// maxTold is more lines than can be lost between two calls.
const maxTold = 1 << 40
