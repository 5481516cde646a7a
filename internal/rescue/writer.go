package rescue

import (
	"golang.org/x/sys/unix"
)

// Writer records what a worker does, in memory that outlives the worker. All methods may be called
// on a nil Writer, which records nothing. It belongs to the goroutine that serves.
//
// A position is the number of bytes that were received or sent on a connection since it was
// accepted.
type Writer struct {
	m *Memory
	h *header
}

// NewWriter returns the writer of a memory that was mapped for writing.
func NewWriter(m *Memory) *Writer { return &Writer{m, m.header()} }

// Receive returns the buffer to receive into; nil without a Writer.
func (w *Writer) Receive() []byte {
	if w == nil {
		return nil
	}
	return w.m.recvBuffer()
}

// Send returns the empty buffer in which batches of responses are made; nil without a Writer.
func (w *Writer) Send() []byte {
	if w == nil {
		return nil
	}
	return w.m.sendBuffer()[:0]
}

// has reports whether there is a record for the descriptor number.
func (w *Writer) has(fd int) bool { return w != nil && fd < w.m.FDs }

// Opened records a new connection that has been counted, before anything is received.
func (w *Writer) Opened(fd int) {
	if !w.has(fd) {
		return
	}
	if fd > int(w.h.highest) {
		w.h.highest = int32(fd)
	}
	store(&w.m.record(fd).state, stateOpen)
}

// Serving records which connection is served from now on; -1: none.
func (w *Writer) Serving(fd int) {
	if w != nil {
		w.h.current = int32(fd) + 1
	}
}

// Receiving is called before recv(2), with the position of the next byte to be received.
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

// Client records a client's address that the kernel does not know, in at most 32 opaque bytes. It is
// used only if received bytes have been used or a batch has been committed.
func (w *Writer) Client(fd int, p []byte) {
	if w.has(fd) {
		w.m.record(fd).client = uint8(copy(w.m.clientBytes(fd), p))
	}
}

// Batch is what a connection does next, as far as that is known.
type Batch struct {
	Used   uint64 // position after the received bytes that the batch answers
	Start  uint64 // position of the batch's first byte among the sent bytes
	Len    int    // bytes of responses in the buffer of [Writer.Send]
	File   int    // descriptor number of the file that follows, -1 if there is none
	Off    int64  // offset of the part that is sent
	Rest   int64  // length of that part in bytes
	Flags  uint8  // flags of conn
	About  []byte // exchange whose file follows, for the log; opaque
	Whole  bool   // About is the whole state of the connection, and has the received bytes up to Used
	Ending bool   // nothing is sent after the file, and no received byte is used
	Fixed  bool   // the connection cannot move to another worker
}

// Commit records a batch before its first byte is sent. From then on the batch will be sent, by
// this worker or by the next.
func (w *Writer) Commit(fd int, b *Batch) {
	if w.has(fd) {
		w.h.sending = int32(fd) + 1
		r := w.m.record(fd)
		w.commit(fd, b, inBuffer, r.tries, r.held)
	}
}

// Take records a connection from another worker before it is served, with the bytes that are not
// sent and not answered yet. The length of the batch is that of unsent.
func (w *Writer) Take(fd int, b *Batch, unsent, held []byte) {
	if !w.has(fd) {
		return
	}
	if w.h.receiving>>positionBits == uint64(fd+1) {
		w.h.receiving = 0 // the buffer belonged to an earlier connection with this number
	}
	where := uint8(heldInPlace)
	if b.Len = len(unsent); b.Len > w.m.Send || len(held) > w.m.held() {
		b.Fixed, where = true, heldLost
	} else {
		copy(w.m.unsentBytes(fd), unsent)
		w.keep(fd, b.Used, held)
	}
	w.commit(fd, b, inPlace, 0, where)
}

// commit makes a record of the batch, and makes it the valid one.
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
	Point("commit")
	store(&w.h.commit, uint32(fd)+1)
	Point("committed")
	*r = *n
	Point("copied")
	store(&w.h.commit, 0)
	Point("done")
}

// store stores a number after all earlier stores and before all later ones: the compiler does not
// move stores across a call. It need not be atomic, because nobody reads before the worker has
// ended.
//
//go:noinline
func store(to *uint32, n uint32) { *to = n }

// The flags of about, above the number of bytes.
const (
	second = 1 << 31 // the bytes are in the second of two areas
	small  = 1 << 30 // the areas are those for the state of an idle connection
	whole  = 1 << 29 // the bytes are the whole state
)

// about stores an exchange or a state in the area that the current record does not use, and returns
// the value for the next record. It leaves out what is too long.
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

// Large reports whether a state is so long that it is stored in the connection's own area, which
// [Writer.Release] must not free then.
func Large(state []byte) bool { return len(state) > stateSize }

// Sealing records that bytes are about to be encrypted for a connection. The next [Writer.Commit]
// clears it.
func (w *Writer) Sealing(fd int) {
	if w.has(fd) {
		store(&w.m.record(fd).sealing, 1)
	}
}

// Used returns the position after the received bytes that are answered, according to the last
// commit.
func (w *Writer) Used(fd int) uint64 {
	if !w.has(fd) {
		return 0
	}
	return w.m.record(fd).used
}

// End returns the position after all that will be sent according to the last commit.
func (w *Writer) End(fd int) uint64 {
	if !w.has(fd) {
		return 0
	}
	r := w.m.record(fd)
	return r.start + uint64(r.batch) + uint64(r.len)
}

// Unsent keeps the bytes of a batch that the socket has not accepted, from an offset in the batch
// on, before the send buffer is reused. It returns the kept bytes, which are valid until the next
// batch, Release or Closed and must not be changed; nil if it cannot keep them.
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
	Point("unsent")
	store(&r.place, inPlace)
	return place[from:end:end]
}

// Held keeps received bytes that have not been used, before the receive buffer is reused; at is the
// position of the first. Unused bytes that are held already need not be passed again.
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

// keep stores bytes at their position in the stream, modulo the size of the area.
func (w *Writer) keep(fd int, at uint64, p []byte) {
	ring := w.m.heldBytes(fd)
	n := copy(ring[at%uint64(len(ring)):], p)
	Point("held")
	copy(ring, p[n:])
}

// Tried records that workers have crashed n times while they served a connection. It is called
// after the first [Writer.Commit].
func (w *Writer) Tried(fd, n int) {
	if w.has(fd) {
		w.m.record(fd).tries = uint8(min(n, 255))
	}
}

// Giving records that a connection is about to be handed over to another worker, with its positions
// according to [Count]. Only one connection at a time can be.
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
		Point("state")
	}
}

// Closing records that a connection is about to be closed.
func (w *Writer) Closing(fd int) {
	if w.has(fd) {
		store(&w.m.record(fd).state, stateClosing)
		Point("state")
	}
}

// Closed records that a connection has been closed or handed over, so that its descriptor number
// may be reused.
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
		// If it fails, the memory stays allocated until the worker exits.
		_ = unix.Madvise(w.m.mem[at:at+w.m.place()], unix.MADV_REMOVE)
	}
}
