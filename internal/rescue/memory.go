package rescue

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// layout is the number of this layout of a [Memory].
const layout = 0x5048_4c58_0009

const (
	headerSize = 4096
	recordSize = 64
	// heldBeside is how many received bytes can be kept for a waiting connection, in
	// addition to a whole receive buffer of at most heldMost bytes: more than the longest
	// request head. A connection with more cannot be rescued.
	heldBeside = 64 << 10
	heldMost   = 1 << 20
	// aboutSize is the room in bytes for the exchange under way: the largest request head and
	// a little more.
	aboutSize = 24 << 10
	// stateSize is the room in bytes for the state of an idle TLS connection: 110 bytes, or 142
	// with the longer secrets, and the server name that the client sent.
	stateSize = 192
	// clientSize is the room in bytes for a client's address from a PROXY header.
	clientSize = 32
	maxBuf     = 16<<20 + 4096 // the largest receive buffer
	// maxFDs limits the descriptor numbers that have a record. Connections with larger
	// numbers are served without one.
	maxFDs = 1 << 16
	page   = 64 << 10 // a multiple of every page size
)

// header is the first page, with the state of the whole worker.
type header struct {
	layout uint64
	fds    uint32 // number of records
	recv   uint32 // bytes of the receive buffer
	send   uint32 // bytes of the send buffer, and of each area for unsent bytes

	highest int32 // highest descriptor number of a connection or of its file
	current int32 // descriptor number of the connection being served, plus one; 0: none
	sending int32 // descriptor number of the connection whose responses are in the send buffer, plus one

	// receiving is the descriptor number for which the receive buffer was last filled, plus
	// one, in the bits above the position of the buffer's first byte in the stream.
	receiving uint64
	// commit is a descriptor number, plus one, whose valid record is next, and not the one
	// among the records.
	commit uint32
	_      uint32
	next   record
	// The positions of the connection that is being handed over.
	givenReceived, givenSent uint64
}

// record describes a connection. The zero record describes one that has just been accepted, and is not counted yet.
type record struct {
	state  uint32 // one of the states below
	file   int32  // descriptor number of the file that follows the batch
	used   uint64 // received bytes that this batch or an earlier one answers
	start  uint64 // sent bytes before this batch
	off    int64  // offset of the rest of the file when the batch began
	len    int64  // its length in bytes
	batch  uint32 // bytes of responses before the file
	place  uint32 // where these bytes are
	flags  uint8  // flags of conn, see docs/rescue.md
	tries  uint8  // crashes of workers that were serving it
	held   uint8  // one of the values below
	client uint8  // bytes in the client's area
	about  uint32 // bytes of the exchange under way, or of the whole state; the highest bits say where they are
	// sealing is 1 while bytes may have been encrypted that no commit has recorded yet: no
	// other worker may continue the connection then.
	sealing uint32
	given   uint32 // 1: the connection is being handed over to a living worker
}

// The states of a record.
const (
	stateAccepted = iota // the connection is not counted as accepted yet
	stateOpen            // the connection stays open after the batch
	stateEnding          // nothing is sent after the batch and the file that follows it
	stateFixed           // the connection cannot move: a listing, several ranges, or a request's body
	stateClosing         // the connection is being closed
	numStates
)

// Where unused bytes are that were received before the receive buffer was last filled.
const (
	heldNowhere = iota // there are none
	heldInPlace        // in the connection's own area, at their position modulo its size
	heldLost           // there were too many, and some are lost
)

// Where a batch is.
const (
	inBuffer = iota // in the send buffer
	inPlace         // in the connection's own area
)

const _ = uint(headerSize - unsafe.Sizeof(header{}))
const _ = -(recordSize ^ unsafe.Sizeof(record{})) // equal

// Sizes are the sizes of a worker's rescue memory, and determine its layout.
type Sizes struct {
	FDs  int // number of descriptor numbers, from 0
	Recv int // bytes of its receive buffer
	Send int // bytes of its send buffer
}

func (s Sizes) states() int  { return headerSize + s.FDs*recordSize }
func (s Sizes) clients() int { return s.states() + s.FDs*2*stateSize }
func (s Sizes) buffers() int { return roundUp(s.clients()+s.FDs*clientSize, page) }
func (s Sizes) sendAt() int  { return s.buffers() + roundUp(s.Recv, page) }
func (s Sizes) places() int  { return s.sendAt() + roundUp(s.Send, page) }
func (s Sizes) held() int    { return roundUp(min(s.Recv, heldMost), page) + heldBeside }
func (s Sizes) place() int   { return s.held() + roundUp(2*aboutSize+s.Send, page) }
func (s Sizes) total() int   { return s.places() + s.FDs*s.place() }
func roundUp(n, to int) int  { return (n + to - 1) / to * to }
func (s Sizes) valid() bool {
	return 0 < s.FDs && s.FDs <= maxFDs && 0 < s.Recv && s.Recv <= maxBuf && 0 < s.Send && s.Send <= maxBuf
}

// Memory is the mapped rescue memory of one worker.
type Memory struct {
	mem []byte
	Sizes
}

// Create creates the rescue memory of a worker and returns its descriptor. Only pages that are
// written to take memory. The size cannot change.
func Create(s Sizes) (fd int, err error) {
	if s.FDs = min(s.FDs, maxFDs); !s.valid() {
		return -1, fmt.Errorf("create connection records: sizes %+v are out of range", s)
	}
	fd, err = unix.MemfdCreate("phalanx-records", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("create connection records: %w", err)
	}
	err = unix.Ftruncate(fd, int64(s.total()))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err == nil {
		h := header{layout: layout, fds: uint32(s.FDs), recv: uint32(s.Recv), send: uint32(s.Send)}
		_, err = unix.Pwrite(fd, unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h)), 0)
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("create connection records: %w", err), unix.Close(fd))
	}
	return fd, nil
}

var errLayout = errors.New("map connection records: they are of another version; install master and worker of the same version")

// Map maps a rescue memory; the caller still owns the descriptor. Only the worker that owns the
// memory may write to it.
func Map(fd int, write bool) (*Memory, error) {
	var h header
	n, err := unix.Pread(fd, unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h)), 0)
	if err != nil || n != int(unsafe.Sizeof(h)) {
		return nil, fmt.Errorf("map connection records: read %d bytes of their header: %w", n, err)
	}
	s := Sizes{int(h.fds), int(h.recv), int(h.send)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("map connection records: %w", err)
	}
	if h.layout != layout || !s.valid() || int64(s.total()) != st.Size {
		return nil, errLayout
	}
	protection := unix.PROT_READ
	if write {
		protection |= unix.PROT_WRITE
	}
	mem, err := unix.Mmap(fd, 0, s.total(), protection, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map connection records: %w", err)
	}
	// The memory may have keys of TLS connections. The call fails only on kernels that cannot
	// exclude it from core dumps.
	_ = unix.Madvise(mem, unix.MADV_DONTDUMP)
	return &Memory{mem, s}, nil
}

// Close unmaps the memory. No slice of it may be used afterwards.
func (m *Memory) Close() error { return unix.Munmap(m.mem) }

func (m *Memory) header() *header { return (*header)(unsafe.Pointer(unsafe.SliceData(m.mem))) }

// record returns the record of a descriptor number, which must be below fds.
func (m *Memory) record(fd int) *record {
	return (*record)(unsafe.Pointer(&m.mem[headerSize+fd*recordSize]))
}

func (m *Memory) recvBuffer() []byte { return m.part(m.buffers(), m.Recv) }
func (m *Memory) sendBuffer() []byte { return m.part(m.sendAt(), m.Send) }
func (m *Memory) heldBytes(fd int) []byte {
	return m.part(m.places()+fd*m.place(), m.held())
}
func (m *Memory) unsentBytes(fd int) []byte {
	return m.part(m.places()+fd*m.place()+m.held(), m.Send)
}
func (m *Memory) aboutBytes(fd int, second bool) []byte {
	at := m.places() + (fd+1)*m.place() - aboutSize
	if second {
		at -= aboutSize
	}
	return m.part(at, aboutSize)
}
func (m *Memory) stateBytes(fd int, second bool) []byte {
	at := m.states() + fd*2*stateSize
	if second {
		at += stateSize
	}
	return m.part(at, stateSize)
}

// clientBytes returns the area for a client's address.
func (m *Memory) clientBytes(fd int) []byte { return m.part(m.clients()+fd*clientSize, clientSize) }

// aboutAt returns the area that the highest bits of a record's about select, and how many bytes are
// in it; nil if there cannot be so many.
func (m *Memory) aboutAt(fd int, about uint32) (place []byte, n int) {
	n = int(about &^ (second | small | whole))
	place = m.aboutBytes(fd, about&second != 0)
	if about&small != 0 {
		place = m.stateBytes(fd, about&second != 0)
	}
	if n > len(place) {
		return nil, 0
	}
	return place, n
}

func (m *Memory) part(at, n int) []byte { return m.mem[at : at+n : at+n] }

// Highest returns the highest descriptor number that may be in use. It comes from the worker,
// limited to the numbers that have a record.
func (m *Memory) Highest() int { return max(0, min(int(m.header().highest), m.FDs-1)) }

// A position fits into 64 bits together with a descriptor number.
const (
	positionBits = 46
	maxPosition  = 1<<positionBits - 1
	_            = uint(math.MaxUint64>>positionBits - maxFDs)
)
