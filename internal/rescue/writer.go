package rescue

import (
	"golang.org/x/sys/unix"
)

// A Writer records what a worker does, in the memory that outlives it. All its
// methods may be called on a nil Writer, which records nothing. It belongs to the
// thread that serves.
//
// Positions are counts of bytes of a connection, received or sent, since it was
// accepted.
type Writer struct {
	m *Memory
	h *header
}

// NewWriter returns the writer of a memory that was mapped for writing.
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

// Opened records a new connection, before anything is received.
func (w *Writer) Opened(fd int) {
	if w.has(fd) && fd > int(w.h.highest) {
		w.h.highest = int32(fd)
	}
}

// Serving records which connection is served from now on; -1 is none.
func (w *Writer) Serving(fd int) {
	if w != nil {
		w.h.current = int32(fd) + 1
	}
}

// Receiving is called before recv(2), with the position of the first byte that may
// be received.
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

// Client records what is known of a connection's client beside what the kernel knows, at
// most 32 opaque bytes: it counts once received bytes are used, or a batch is committed.
func (w *Writer) Client(fd int, p []byte) {
	if w.has(fd) {
		w.m.record(fd).client = uint8(copy(w.m.clientBytes(fd), p))
	}
}

// Batch is what a connection does next, as far as it is known.
type Batch struct {
	Used   uint64 // position behind the received bytes that it answers
	Start  uint64 // position of its first byte in what is sent
	Len    int    // bytes of responses in the buffer of [Writer.Send]
	File   int    // descriptor number of the file that follows, -1 if there is none
	Off    int64  // offset of the part that is sent
	Rest   int64  // its bytes
	Flags  uint8  // conn's
	About  []byte // of the exchange whose file follows, for the log; opaque
	Whole  bool   // About is the whole state of the connection, and has the received bytes up to Used
	Ending bool   // nothing is sent after that, and nothing received is used
	Fixed  bool   // it cannot move to another worker
}

// Commit records a batch before its first byte is sent. From then on the batch is
// sent, by this worker or by the next.
func (w *Writer) Commit(fd int, b *Batch) {
	if w.has(fd) {
		w.h.sending = int32(fd) + 1
		r := w.m.record(fd)
		w.commit(fd, b, inBuffer, r.tries, r.held)
	}
}

// Take records a connection from another worker before it is served, with the bytes
// still to be sent and those still to be answered. The length of the batch is that
// of unsent.
func (w *Writer) Take(fd int, b *Batch, unsent, held []byte) {
	if !w.has(fd) {
		return
	}
	if w.h.receiving>>positionBits == uint64(fd+1) {
		w.h.receiving = 0 // it was for an earlier connection with this number
	}
	where := uint8(heldInPlace)
	if b.Len = len(unsent); b.Len > w.m.send || len(held) > w.m.held() {
		b.Fixed, where = true, heldLost
	} else {
		copy(w.m.unsentBytes(fd), unsent)
		w.keep(fd, b.Used, held)
	}
	w.commit(fd, b, inPlace, 0, where)
}

// commit makes a record of the batch, and puts it in force.
func (w *Writer) commit(fd int, b *Batch, place uint32, tries, held uint8) {
	r := w.m.record(fd)
	n := &w.h.next
	n.file, n.used, n.start, n.off, n.len = int32(b.File), b.Used, b.Start, b.Off, b.Rest
	n.batch, n.place = uint32(b.Len), place
	n.flags, n.tries, n.held, n.client = b.Flags, tries, held, r.client
	n.about, n.sealing, n.given = w.about(fd, r.about, b.About, b.Whole), 0, 0
	switch {
	case b.Fixed || b.Whole && n.about == 0 || b.Used > maxPosition:
		n.state = stateFixed
	case b.Ending:
		n.state = stateEnding
	default:
		n.state = stateOpen
	}
	if b.File > int(w.h.highest) {
		w.h.highest = int32(b.File)
	}
	point(pointCommit)
	store(&w.h.commit, uint32(fd)+1)
	point(pointCommitted)
	*r = *n
	point(pointCopied)
	store(&w.h.commit, 0)
	point(pointDone)
}

// store stores a number after all that has been stored before, and before all that follows:
// it is a call, which the compiler does not move stores across. It need not be atomic, because
// nobody reads before this thread has ended.
//
//go:noinline
func store(to *uint32, n uint32) { *to = n }

// The flags of about, above the number of bytes.
const (
	second = 1 << 31 // they are in the second of two places
	small  = 1 << 30 // these are the places for the state of an idle connection
	whole  = 1 << 29 // they are the whole state
)

// about stores an exchange or a state in the place that the current record does not use,
// and returns the value for the next record. One that is too long is left out.
func (w *Writer) about(fd int, was uint32, p []byte, all bool) uint32 {
	if len(p) == 0 || len(p) > aboutSize {
		return 0
	}
	where := ^was & second
	if all {
		where |= whole
	}
	if all && len(p) <= stateSize {
		where |= small
	}
	place, _ := w.m.aboutAt(fd, where)
	copy(place, p)
	return uint32(len(p)) | where
}

// Large reports whether a state is so long that it takes a connection's own place, which
// [Writer.Release] must not free then.
func Large(state []byte) bool { return len(state) > stateSize }

// Sealing records that bytes are about to be encrypted for a connection, until its next
// [Writer.Commit].
func (w *Writer) Sealing(fd int) {
	if w.has(fd) {
		store(&w.m.record(fd).sealing, 1)
	}
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
// given offset in the batch, before the send buffer is used again. It returns them as
// they are kept, until the next batch, Release or Closed; nil if it cannot keep them.
// They must not be changed.
func (w *Writer) Unsent(fd, from int, rest []byte) []byte {
	if !w.has(fd) {
		return nil
	}
	r := w.m.record(fd)
	place := w.m.unsentBytes(fd)
	end := from + len(rest)
	if end > len(place) {
		r.state = stateFixed
		return nil
	}
	copy(place[from:], rest)
	point(pointUnsent)
	store(&r.place, inPlace)
	return place[from:end:end]
}

// Held keeps received bytes that have not been used, before the receive buffer is
// used again; at is the position of the first. Unused bytes that are held already
// need not be passed again.
func (w *Writer) Held(fd int, at uint64, p []byte) {
	if !w.has(fd) {
		return
	}
	r := w.m.record(fd)
	switch {
	case at+uint64(len(p))-r.used > uint64(w.m.held()):
		r.state, r.held = stateFixed, heldLost
	case r.held != heldLost || at == r.used:
		w.keep(fd, at, p)
		r.held = heldInPlace
	}
}

// keep stores bytes at their position in the stream, modulo the size of the place.
func (w *Writer) keep(fd int, at uint64, p []byte) {
	ring := w.m.heldBytes(fd)
	n := copy(ring[at%uint64(len(ring)):], p)
	point(pointHeld)
	copy(ring, p[n:])
}

// Tried records that workers have crashed n times while they served a connection. It
// is called after the first [Writer.Commit].
func (w *Writer) Tried(fd, n int) {
	if w.has(fd) {
		w.m.record(fd).tries = uint8(min(n, 255))
	}
}

// Giving records that a connection is about to be handed over to another worker, with
// its positions according to [Count]. Only one at a time is.
func (w *Writer) Giving(fd int, received, sent uint64) {
	if w != nil {
		w.h.givenReceived, w.h.givenSent = received, sent
	}
	w.give(fd, 1)
}

// Kept undoes Giving.
func (w *Writer) Kept(fd int) { w.give(fd, 0) }

func (w *Writer) give(fd int, given uint32) {
	if w.has(fd) {
		store(&w.m.record(fd).given, given)
		point(pointState)
	}
}

// Closing records that a connection is about to be closed.
func (w *Writer) Closing(fd int) {
	if w.has(fd) {
		store(&w.m.record(fd).state, stateClosing)
		point(pointState)
	}
}

// Closed records that a connection has been closed or handed over, so its descriptor
// number may be used again.
func (w *Writer) Closed(fd int) {
	if w.has(fd) {
		*w.m.record(fd) = record{}
	}
}

// Release returns the memory of a connection's held bytes to the kernel.
func (w *Writer) Release(fd int) {
	if w.has(fd) {
		w.m.record(fd).held = heldNowhere
		at := w.m.places() + fd*w.m.place()
		// Memory that cannot be given back stays until the worker ends.
		_ = unix.Madvise(w.m.mem[at:at+w.m.place()], unix.MADV_REMOVE)
	}
}
