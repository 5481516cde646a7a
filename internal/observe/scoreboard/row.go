package scoreboard

import (
	"sync/atomic"
	"time"

	"phalanx/internal/observe/histogram"
)

// Row is what one worker process says of itself. It lies in shared memory: one
// process adds to it, with atomic operations and without locks, and the master
// reads it at any moment. Its zero value is that of a worker that has just
// begun. All times are on CLOCK_MONOTONIC, which is one for the machine.
type Row struct {
	Requests     [6]atomic.Uint64 // begun to be answered, by the status's first digit
	Cut          atomic.Uint64    // replies that ended early
	Bytes        atomic.Uint64    // sent to clients
	Accepted     atomic.Uint64    // connections
	Adopted      atomic.Uint64    // connections taken over from other workers
	Timeouts     atomic.Uint64    // connections ended because the client was slow
	Drops        atomic.Uint64    // connections ended, or not taken, for want of something here
	LatencyNanos atomic.Uint64    // the sum of what Latency counts
	Latency      [histogram.Buckets]atomic.Uint64

	Active atomic.Int64 // connections, when it last looked
	Idle   atomic.Int64 // of those: waiting for a request
	Beat   atomic.Int64 // when it last looked, in nanoseconds
	Busy   atomic.Bool  // it is at work on what Last says

	Last   Note // the last request that was received
	Oldest Note // the one under way for longest, when it last looked
}

// Took counts a reply that was sent whole.
func (r *Row) Took(d time.Duration) {
	d = max(0, d)
	r.Latency[histogram.Index(d)].Add(1)
	r.LatencyNanos.Add(uint64(d))
}

// Read returns the counters. They are read one after the other, so that a
// request may be counted in one and not yet in the next.
func (r *Row) Read() (t Totals) {
	for i := range r.Requests {
		t.Requests[i] = r.Requests[i].Load()
	}
	t.Cut, t.Bytes, t.Accepted, t.Adopted = r.Cut.Load(), r.Bytes.Load(), r.Accepted.Load(), r.Adopted.Load()
	t.Timeouts, t.Drops, t.LatencyNanos = r.Timeouts.Load(), r.Drops.Load(), r.LatencyNanos.Load()
	for i := range r.Latency {
		t.Latency[i] = r.Latency[i].Load()
	}
	return t
}

// Answered is how many requests have been begun to be answered.
func (r *Row) Answered() (n uint64) {
	for i := range r.Requests {
		n += r.Requests[i].Load()
	}
	return n
}

// Totals are the counters of a [Row] at a moment, or the sums of several.
type Totals struct {
	Requests                                       [6]uint64
	Cut, Bytes, Accepted, Adopted, Timeouts, Drops uint64
	LatencyNanos                                   uint64
	Latency                                        histogram.Counts
}

// Add adds o.
func (t *Totals) Add(o *Totals) {
	for i, n := range o.Requests {
		t.Requests[i] += n
	}
	t.Cut += o.Cut
	t.Bytes += o.Bytes
	t.Accepted += o.Accepted
	t.Adopted += o.Adopted
	t.Timeouts += o.Timeouts
	t.Drops += o.Drops
	t.LatencyNanos += o.LatencyNanos
	t.Latency.Add(&o.Latency)
}

// Answered is the sum of Requests.
func (t *Totals) Answered() (n uint64) {
	for _, k := range t.Requests {
		n += k
	}
	return n
}

// noteSize is the length of the longest text of a Note in bytes.
const noteSize = 240

// Note is a short text with a time. Its sequence number is odd while it is being
// written: who reads then looks again, and who would write then leaves it.
type Note struct {
	sequence atomic.Uint32
	length   uint32
	at       int64
	text     [noteSize]byte
}

// Set writes the first bytes of text, and when it began. The race detector need
// not look: the sequence number is what makes sense of what is read meanwhile.
//
//go:norace
func (n *Note) Set(text []byte, at int64) {
	s := n.sequence.Load()
	if s&1 != 0 || !n.sequence.CompareAndSwap(s, s+1) {
		return
	}
	n.length = uint32(copy(n.text[:], text))
	n.at = at
	n.sequence.Store(s + 2)
}

// Get returns a copy of the text, nil if there is none or if it is being written
// all the time: its writer may have died over it.
//
//go:norace
func (n *Note) Get() (text []byte, at int64) {
	for range 100 {
		s := n.sequence.Load()
		if s&1 != 0 {
			continue
		}
		length, at, copied := n.length, n.at, n.text
		if n.sequence.Load() == s && length <= noteSize {
			return append([]byte(nil), copied[:length]...), at
		}
	}
	return nil, 0
}
