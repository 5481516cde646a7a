package rescue

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Writer notes what a worker does, in the memory that outlives it. All its
// methods may be called on a nil Writer, which notes nothing. It belongs to the
// thread that serves.
//
// Positions are counts of bytes of a connection, received or sent, since it was
// accepted.
type Writer struct {
	m *Memory
	h *header
}

// NewWriter notes in a memory that was mapped for writing.
func NewWriter(m *Memory) *Writer { return &Writer{m, m.header()} }

// Receive returns the buffer to receive into, nil if there is no Writer.
func (w *Writer) Receive() []byte {
	if w == nil {
		return nil
	}
	return w.m.recvBuffer()
}

// Send returns the empty buffer in which batches of responses are made, nil if
// there is no Writer.
func (w *Writer) Send() []byte {
	if w == nil {
		return nil
	}
	return w.m.sendBuffer()[:0]
}

// has reports whether there is a record for the descriptor number.
func (w *Writer) has(fd int) bool { return w != nil && fd < w.m.fds }

// Opened is told of a new connection, before anything is received.
func (w *Writer) Opened(fd int) {
	if w.has(fd) && fd > int(w.h.highest) {
		w.h.highest = int32(fd)
	}
}

// Serving is told which connection is served from now on; -1 is none.
func (w *Writer) Serving(fd int) {
	if w != nil {
		w.h.current = int32(fd) + 1
	}
}

// Receiving comes before a call of recv(2), with the position of the first byte
// that it may bring.
func (w *Writer) Receiving(fd int, at uint64) {
	switch {
	case w == nil:
	case w.has(fd) && at <= maxPosition:
		w.h.receiving = uint64(fd+1)<<positionBits | at
		if r := w.m.record(fd); r.tries > 0 && r.used == at {
			r.tries = 0 // the next request is not to blame
		}
	default:
		w.h.receiving = 0
	}
}

// Batch is what a connection does next, as far as it can be said now.
type Batch struct {
	Used   uint64 // position behind the received bytes that it answers
	Start  uint64 // position of its first byte in what is sent
	Len    int    // bytes of responses in the buffer of [Writer.Send]
	File   int    // descriptor number of the file that follows, -1 if there is none
	Off    int64  // of what is sent of that file
	Rest   int64  // its bytes
	Flags  uint8  // conn's
	About  []byte // what is to be known of the exchange whose file follows, for the log; opaque
	Ending bool   // nothing is sent after that, and nothing received is used
	Fixed  bool   // it cannot go on elsewhere
}

// Commit is told of a batch before its first byte is sent. From then on the
// connection does this, whoever does it.
func (w *Writer) Commit(fd int, b Batch) {
	if w.has(fd) {
		w.h.sending = int32(fd) + 1
		r := w.m.record(fd)
		w.commit(fd, b, record{place: inBuffer, tries: r.tries, held: r.held})
	}
}

// Take is told of a connection that comes from another worker, with the bytes
// that are still to be sent and those that are to be answered, before it is
// served. The length of the batch is that of unsent.
func (w *Writer) Take(fd int, b Batch, unsent, held []byte) {
	if !w.has(fd) {
		return
	}
	if w.h.receiving>>positionBits == uint64(fd+1) {
		w.h.receiving = 0 // by another connection, which had this number
	}
	n := record{place: inPlace, held: 1}
	if b.Len = len(unsent); b.Len > w.m.send || len(held) > heldSize {
		b.Fixed = true
	} else {
		copy(w.m.unsentBytes(fd), unsent)
		w.keep(fd, b.Used, held)
	}
	w.commit(fd, b, n)
}

// commit makes a record that of a connection, with what the batch says added.
func (w *Writer) commit(fd int, b Batch, rec record) {
	r := w.m.record(fd)
	n := &w.h.next
	rec.file, rec.used, rec.start, rec.off, rec.len = int32(b.File), b.Used, b.Start, b.Off, b.Rest
	rec.batch, rec.flags = uint32(b.Len), b.Flags
	rec.about = w.about(fd, r.about, b.About)
	*n = rec
	switch {
	case b.Fixed || b.Used > maxPosition:
		n.state = stateFixed
	case b.Ending:
		n.state = stateEnding
	}
	if b.File > int(w.h.highest) {
		w.h.highest = int32(b.File)
	}
	point(pointCommit)
	atomic.StoreUint32(&w.h.commit, uint32(fd)+1)
	point(pointCommitted)
	*r = *n
	point(pointCopied)
	atomic.StoreUint32(&w.h.commit, 0)
	point(pointDone)
}

// second marks what is in the second of the two places.
const second = 1 << 31

// about keeps what is known of an exchange in the place that the record does not
// speak of, and returns how the next one speaks of it. What is too long is not
// known.
func (w *Writer) about(fd int, was uint32, p []byte) uint32 {
	if len(p) == 0 || len(p) > aboutSize {
		return 0
	}
	where := ^was & second
	copy(w.m.aboutBytes(fd, where != 0), p)
	return uint32(len(p)) | where
}

// Used is the position behind the received bytes that are answered, as the last
// commit says.
func (w *Writer) Used(fd int) uint64 {
	if !w.has(fd) {
		return 0
	}
	return w.m.record(fd).used
}

// End is the position behind what the last commit says is sent.
func (w *Writer) End(fd int) uint64 {
	if !w.has(fd) {
		return 0
	}
	r := w.m.record(fd)
	return r.start + uint64(r.batch) + uint64(r.len)
}

// Unsent keeps the bytes of a batch that the socket has not taken, from the
// given offset in the batch, before the send buffer is used again.
func (w *Writer) Unsent(fd, from int, rest []byte) {
	if !w.has(fd) {
		return
	}
	r := w.m.record(fd)
	place := w.m.unsentBytes(fd)
	if from+len(rest) > len(place) {
		r.state = stateFixed
		return
	}
	copy(place[from:], rest)
	point(pointUnsent)
	atomic.StoreUint32(&r.place, inPlace)
}

// Held keeps received bytes that have not been used, the first of which has the
// given position, before the receive buffer is used again. Of unused bytes that
// were held before nothing has to be said.
func (w *Writer) Held(fd int, at uint64, p []byte) {
	if !w.has(fd) {
		return
	}
	r := w.m.record(fd)
	if at+uint64(len(p))-r.used > heldSize {
		r.state = stateFixed
		return
	}
	w.keep(fd, at, p)
	r.held = 1
}

// keep puts bytes where their position in the stream says.
func (w *Writer) keep(fd int, at uint64, p []byte) {
	ring := w.m.heldBytes(fd)
	n := copy(ring[at%heldSize:], p)
	point(pointHeld)
	copy(ring, p[n:])
}

// Tried is told that workers have crashed n times while they were serving a
// connection; it comes after the first [Writer.Commit].
func (w *Writer) Tried(fd, n int) {
	if w.has(fd) {
		w.m.record(fd).tries = uint8(min(n, 255))
	}
}

// Giving is told that a connection is about to be handed over to a worker that
// lives. One at a time is.
func (w *Writer) Giving(fd int) { w.give(fd, 1) }

// Kept takes back what Giving said.
func (w *Writer) Kept(fd int) { w.give(fd, 0) }

func (w *Writer) give(fd int, given uint8) {
	if w.has(fd) {
		w.m.record(fd).given = given
		point(pointState)
	}
}

// Closing is told that a connection is about to be closed.
func (w *Writer) Closing(fd int) {
	if w.has(fd) {
		atomic.StoreUint32(&w.m.record(fd).state, stateClosing)
		point(pointState)
	}
}

// Closed is told that it has been closed, or was handed over: the descriptor
// number may become that of another.
func (w *Writer) Closed(fd int) {
	if w.has(fd) {
		*w.m.record(fd) = record{}
	}
}

// Release gives the memory of what a connection held back to the kernel.
func (w *Writer) Release(fd int) {
	if w.has(fd) {
		w.m.record(fd).held = 0
		at := w.m.places() + fd*w.m.place()
		// Memory that cannot be given back stays until the worker ends.
		_ = unix.Madvise(w.m.mem[at:at+w.m.place()], unix.MADV_REMOVE)
	}
}
