package scoreboard

import (
	"sync/atomic"
	"time"
	"unsafe"

	"phalanx/internal/observe/histogram"
)

// Row has the counters of one worker process, in shared memory: that process adds to
// it with atomic operations and without locks, and the master reads it at any time.
// Its zero value is that of a worker just started. All times are on CLOCK_MONOTONIC,
// which is the same for all processes.
type Row struct {
	Requests     [6]atomic.Uint64 // whose response has begun, by the first digit of the status
	Truncated    atomic.Uint64    // responses truncated
	Bytes        atomic.Uint64    // sent to clients
	Accepted     atomic.Uint64    // connections
	TakenOver    atomic.Uint64    // connections taken over from other workers
	TimedOut     atomic.Uint64    // connections closed because the client timed out
	Dropped      atomic.Uint64    // connections closed for lack of descriptors or memory
	LatencyNanos atomic.Uint64    // sum of what Latency counts
	Latency      [histogram.Buckets]atomic.Uint64

	Active atomic.Int64 // open connections, at the last heartbeat
	Idle   atomic.Int64 // of those, without a request under way
	Beat   atomic.Int64 // last heartbeat, in nanoseconds
	Busy   atomic.Bool  // the worker is processing Last

	Last   Note // the last request received
	Oldest Note // the oldest request under way, at the last heartbeat

	// New fields are added at the end: programs of other versions read a row too.
	Handshakes [2]atomic.Uint64          // of TLS 1.2 and 1.3, completed
	Resumed    atomic.Uint64             // of those, with an earlier session
	Unsecured  [MaxReasons]atomic.Uint64 // handshakes, and connections later, that failed in TLS, by reason
	Limited    [maxLimits]atomic.Uint64  // connections closed at a limit, by which
	Versions   [3]atomic.Uint64          // Requests of HTTP/1.0, 1.1 and 2
	Misused    [MaxReasons]atomic.Uint64 // HTTP/2 connections closed for abuse or protocol errors, by reason
	Streams    atomic.Int64              // requests open on HTTP/2 connections, at the last heartbeat
	Unproxied  [MaxReasons]atomic.Uint64 // connections closed because their PROXY header was refused, by reason
	Denied     atomic.Uint64             // Requests of clients that --allow or --deny refuses
	Sites      [MaxSites]Site            // by their numbers; only if there are several
	Releases   atomic.Uint64             // put into service after the first one
	Stale      atomic.Int64              // sites of which an earlier release is served because the new one cannot be
	Checked    [maxChecked]atomic.Uint64 // credentials, by result
	Copied     atomic.Uint64             // Requests answered with a compressed copy of the server's
}

// Limit is a limit for which a connection is closed or refused.
type Limit uint8

// The limits.
const (
	LimitIdle   Limit = iota // all connections; it was idle for longest
	LimitHead                // all connections; its request or handshake was the longest incomplete one
	LimitClient              // connections of one client
	LimitRate                // the minimum rate
	NumLimits
)

// String returns the name in metrics.
func (l Limit) String() string { return [...]string{"idle", "head", "client", "rate"}[l] }

// maxLimits is the number of limits that a row has room for.
const maxLimits = 16

// Checked is the result of checking credentials.
type Checked uint8

// The results.
const (
	CheckedRight      Checked = iota // its hash was computed
	CheckedRemembered                // right, without computing a hash
	CheckedWrong
	CheckedLimited // not checked: the client has been wrong too often
	CheckedBusy    // not checked: too many others waited
	NumChecked
)

// String returns the name in metrics.
func (c Checked) String() string {
	return [...]string{"right", "remembered", "wrong", "limited", "busy"}[c]
}

// maxChecked is the number of results that a row has room for.
const maxChecked = 8

// MaxReasons is the number of reasons for a failure that a row has room for.
const MaxReasons = 32

// Took counts a complete response by its latency.
func (r *Row) Took(d time.Duration) {
	d = max(0, d)
	r.Latency[histogram.Index(d)].Add(1)
	r.LatencyNanos.Add(uint64(d))
}

// Read returns the counters. They are read one after the other, so a request may be
// counted in one and not yet in the next.
func (r *Row) Read() (t Totals) {
	t.Truncated, t.Bytes, t.Accepted, t.TakenOver = r.Truncated.Load(), r.Bytes.Load(), r.Accepted.Load(), r.TakenOver.Load()
	t.TimedOut, t.Dropped, t.LatencyNanos = r.TimedOut.Load(), r.Dropped.Load(), r.LatencyNanos.Load()
	t.Resumed, t.Releases, t.Copied, t.Denied = r.Resumed.Load(), r.Releases.Load(), r.Copied.Load(), r.Denied.Load()
	load(t.Requests[:], r.Requests[:])
	load(t.Limited[:], r.Limited[:])
	load(t.Handshakes[:], r.Handshakes[:])
	load(t.Unproxied[:], r.Unproxied[:])
	load(t.Unsecured[:], r.Unsecured[:])
	load(t.Versions[:], r.Versions[:])
	load(t.Misused[:], r.Misused[:])
	load(t.Checked[:], r.Checked[:])
	load(t.Latency[:], r.Latency[:])
	return t
}

// load copies counters into to.
func load(to []uint64, from []atomic.Uint64) {
	for i := range to {
		to[i] = from[i].Load()
	}
}

// Answered returns the number of requests whose response has begun.
func (r *Row) Answered() (n uint64) {
	for i := range r.Requests {
		n += r.Requests[i].Load()
	}
	return n
}

// Totals are the counters of a [Row] at one moment, or sums of several.
type Totals struct {
	Requests                                                 [6]uint64
	Truncated, Bytes, Accepted, TakenOver, TimedOut, Dropped uint64
	Limited                                                  [NumLimits]uint64
	Handshakes                                               [2]uint64
	Unproxied                                                [MaxReasons]uint64
	Denied                                                   uint64
	Resumed, Releases, Copied                                uint64
	Unsecured                                                [MaxReasons]uint64
	Versions                                                 [3]uint64
	Misused                                                  [MaxReasons]uint64
	Checked                                                  [NumChecked]uint64
	LatencyNanos                                             uint64
	Latency                                                  histogram.Counts
}

// Add adds o.
func (t *Totals) Add(o *Totals) {
	all := t.counters()
	for i, n := range o.counters() {
		all[i] += n
	}
}

// counters are those of all fields: there is nothing else in t.
func (t *Totals) counters() []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(t)), unsafe.Sizeof(*t)/unsafe.Sizeof(uint64(0)))
}

// Answered is the sum of Requests.
func (t *Totals) Answered() (n uint64) {
	for _, k := range t.Requests {
		n += k
	}
	return n
}

// noteSize is the maximum length of a Note in bytes.
const noteSize = 240

// Note is a short text with a time, guarded by a sequence number (a seqlock). It is
// odd during a write: readers then retry, and other writers give up.
type Note struct {
	sequence atomic.Uint32
	length   uint32
	at       int64
	text     [noteSize]byte
}

// Set stores the first bytes of text and a time. It is hidden from the race detector:
// the sequence number guards concurrent reads.
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

// Get returns a copy of the text; nil if there is none, or if a write does not end,
// because its writer has died.
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
