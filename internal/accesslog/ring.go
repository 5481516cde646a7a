package accesslog

import (
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

// The header of a ring: what one side writes has a cache line of its own.
const (
	headAt   = 0   // the worker's: bytes written since the beginning
	lostAt   = 8   // lines that were dropped
	tailAt   = 64  // the reader's: bytes consumed since the beginning
	toldAt   = 72  // how many of the lost lines the reader knows of
	bellAt   = 128 // unread bytes at which to wake the reader
	ringData = 192 // where the data begin
)

// MinRing is the least memory of a ring in bytes.
const MinRing = 4096

const (
	// bellNever is the bell of a ring whose reader has been woken.
	bellNever = math.MaxUint64
	// maxPosition is more than any ring carries: at 10 GB a second, in 14 years.
	maxPosition = 1 << 62
)

// Ring is a queue of lines in shared memory: one process writes, another one
// reads. All of its state is in that memory, so that either may be replaced.
//
// Positions only grow; their remainders by the size say where in the data they
// are. One byte always stays free: the last byte that was read is still there
// then, and tells whether reading stopped within a line.
type Ring struct {
	head, lost, tail, told, bell *atomic.Uint64
	data                         []byte
}

// NewRing uses the memory as a ring, with what another Ring has left there; fresh
// memory is zero. It must be aligned to 8 bytes and have at least [MinRing] of
// them, a multiple of 8.
func NewRing(mem []byte) (*Ring, error) {
	switch {
	case len(mem) < MinRing:
		return nil, fmt.Errorf("make ring of %d bytes: it needs at least %d", len(mem), MinRing)
	case len(mem)%8 != 0 || uintptr(unsafe.Pointer(&mem[0]))%8 != 0:
		return nil, fmt.Errorf("make ring of %d bytes at %p: it is not aligned to 8 bytes", len(mem), mem)
	}
	word := func(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&mem[at])) }
	return &Ring{
		head: word(headAt), lost: word(lostAt), tail: word(tailAt), told: word(toldAt), bell: word(bellAt),
		data: mem[ringData:],
	}, nil
}

// Write adds a line, its newline included. When it does not fit, it is dropped
// and counted, and Write reports false. It never waits, and is for one goroutine
// at a time.
func (r *Ring) Write(line []byte) bool {
	head, used, ok := r.state()
	if !ok || uint64(len(line)) > r.room()-used {
		r.lost.Add(1)
		return false
	}
	n := copy(r.data[head%uint64(len(r.data)):], line)
	copy(r.data, line[n:])
	// Until now nobody sees the line; a worker that is killed above has
	// written nothing.
	r.head.Store(head + uint64(len(line)))
	return true
}

// Waiting returns how many bytes are unread. It is for the goroutine that writes
// or the one that reads.
func (r *Ring) Waiting() int {
	_, used, _ := r.state()
	return int(used)
}

// Due reports, once for each time that the ring fills up, that it is time to
// [Wake] its reader. The writing side asks after each Write, also if that had
// no room.
//
// How full that is the reader decides: when it sleeps, the first line wakes it;
// else it comes soon anyway, and is woken early by a ring a quarter full.
func (r *Ring) Due() bool {
	bell := r.bell.Load()
	if bell == bellNever {
		return false
	}
	_, used, ok := r.state()
	return (!ok || used >= bell) && r.bell.Swap(bellNever) != bellNever
}

// Lost returns how many lines were dropped since the memory was zero.
func (r *Ring) Lost() uint64 { return r.lost.Load() }

// Readable returns the unread bytes, whole lines, in up to two pieces. They stay
// as they are until [Ring.Consume]. A header that makes no sense (its worker has
// run mad) is set back: the ring is empty then, and a line counts as lost, for
// how many there were nobody knows.
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

// Consume gives n bytes back to the writing side, at most as many as Readable
// has returned.
func (r *Ring) Consume(n int) { r.tail.Add(uint64(n)) }

// state returns where the next line goes and how many bytes are unread, and
// whether that can be. One of the positions is the caller's own, and the other
// one moves only in the direction that keeps it true.
func (r *Ring) state() (head, used uint64, ok bool) {
	head, tail := r.head.Load(), r.tail.Load()
	used = head - tail
	if head >= maxPosition || tail > head || used > r.room() {
		return 0, 0, false
	}
	return head, used, true
}

func (r *Ring) room() uint64 { return uint64(len(r.data)) - 1 }

// reset makes the ring empty. The writing side adds nothing while the header is
// wrong, so it does not race with it, unless it is still mad: then the next look
// resets once more.
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

// ringAt says how many unread bytes make the ring Due. The reader looks at them
// after that: either it sees a line or the line's writer sees this.
func (r *Ring) ringAt(unread int) { r.bell.Store(uint64(unread)) }

func (r *Ring) quarter() int { return len(r.data) / 4 }

// tell returns how many lines were lost that were not told before. That is kept
// with the ring, for its reader may be replaced.
func (r *Ring) tell() uint64 {
	lost, told := r.lost.Load(), r.told.Load()
	r.told.Store(lost)
	if n := lost - told; n <= maxTold {
		return n
	}
	return 1 // the counter went back, or is out of this world: a worker has run mad
}

// maxTold is more lines than can be lost between two looks.
const maxTold = 1 << 40
