package ipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// MaxMessage is the size of the largest message in bytes. Text that would
// exceed it is cut.
const MaxMessage = 4096

// Message is one of the types below. Those that say "with a descriptor" travel
// with [Channel.SendFile].
type Message interface {
	append(dst []byte) []byte
}

// Ready tells the master that the worker could serve at once, and who it is.
type Ready struct {
	PID     int    // 1 to 2^31-1
	Version string // the worker's own, for the master to compare
}

// Failed tells the master why the worker is about to exit.
type Failed struct {
	ExitCode int    // 0 to 255, the code it will exit with
	Reason   string // one sentence, no newline
}

// Serve tells the worker to begin to take requests.
type Serve struct{}

// Draining tells the master that the worker drains without having been told so.
type Draining struct{}

// CanHandOver tells the master, before Ready, that the worker can take over the
// connections of another, and hand its own over.
type CanHandOver struct{}

// TakeOver, with a descriptor, tells the worker to take over the connections that
// come on that channel, until it ends; see [Handover].
type TakeOver struct{}

// Drain tells the worker to drain: another serves in its place. With a
// descriptor, that is the handover channel for its connections; what cannot be
// handed over is finished first.
type Drain struct {
	// Queue says that nobody takes the listening socket over: what is on its way
	// to it is for this worker.
	Queue bool
}

// Alive tells the master, from inside the serving loop, that it goes round.
type Alive struct{}

// Recycle asks the master to replace the worker.
type Recycle struct {
	Reason string // for the log
}

// Remaining tells the master, each second while the worker drains, what is left
// to do.
type Remaining struct {
	Connections int   // 0 to 2^31-1
	Bytes       int64 // of replies whose length is known, not negative
}

// Show, with a descriptor, asks the worker to write a list of its connections
// into that file; it answers with Shown.
type Show struct {
	ID uint32 // of the question
}

// Shown tells the master that the list has been written.
type Shown struct {
	ID uint32 // of Show
}

// Keeper tells the master, before Ready and whenever the worker has made another,
// which process keeps its descriptors open; see package rescue.
type Keeper struct {
	PID int // 1 to 2^31-1
}

// Keep tells the worker that its keeper has died: it makes another.
type Keep struct{}

// Blame is what a dead worker's connections are asked for before they go on.
type Blame byte

// Whom to blame for the death of a worker.
const (
	BlameNobody  Blame = iota // it was killed from outside
	BlameCurrent              // the request that was being served may have done it
	BlameBusy                 // its memory is not to be trusted: only idle connections go on
	numBlames
)

// Rescue, with a descriptor, tells the worker before Serve to take over a dead
// worker's connections, which come on that channel; see [RescueChannel]. It
// answers with Rescued, and does nothing to their sockets before Serve.
type Rescue struct {
	Blame Blame
}

// Rescued tells the master that all that came was taken, and what becomes of
// the connections: 0 to 2^32-1 of each kind.
type Rescued struct {
	Connections int    // go on
	Ended       int    // had been closed or handed over
	Reset       int    // by the client, meanwhile
	Fixed       int    // are closed: their response cannot be continued elsewhere
	Blamed      int    // are closed: see Blame
	Lost        int    // are closed: what was known of them is not consistent
	Bytes       uint64 // that those that go on are still to be sent
}

// The first byte of a message.
const (
	kindReady       = 1
	kindFailed      = 2
	kindServe       = 3
	kindDraining    = 4
	kindCanHandOver = 5
	kindTakeOver    = 6
	kindDrain       = 7
	kindAlive       = 8
	kindRecycle     = 9
	kindRemaining   = 10
	kindShow        = 11
	kindShown       = 12
	kindKeeper      = 13
	kindKeep        = 14
	kindRescue      = 15
	kindRescued     = 16
)

// Encode appends the wire form of m to dst.
func Encode(dst []byte, m Message) []byte {
	return m.append(dst)
}

func (m Ready) append(dst []byte) []byte {
	dst = append(dst, kindReady)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.PID))
	return append(dst, fit(m.Version, MaxMessage-5)...)
}

func (m Failed) append(dst []byte) []byte {
	dst = append(dst, kindFailed, byte(m.ExitCode))
	return append(dst, fit(m.Reason, MaxMessage-2)...)
}

func (Serve) append(dst []byte) []byte {
	return append(dst, kindServe)
}

func (Draining) append(dst []byte) []byte {
	return append(dst, kindDraining)
}

func (CanHandOver) append(dst []byte) []byte { return append(dst, kindCanHandOver) }
func (TakeOver) append(dst []byte) []byte    { return append(dst, kindTakeOver) }
func (Alive) append(dst []byte) []byte       { return append(dst, kindAlive) }

func (m Drain) append(dst []byte) []byte {
	queue := byte(0)
	if m.Queue {
		queue = 1
	}
	return append(dst, kindDrain, queue)
}

func (m Keeper) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindKeeper), uint32(m.PID))
}

func (Keep) append(dst []byte) []byte { return append(dst, kindKeep) }

func (m Rescue) append(dst []byte) []byte { return append(dst, kindRescue, byte(m.Blame)) }

// rescuedLen is the length of Rescued behind its kind.
const rescuedLen = 6*4 + 8

func (m Rescued) append(dst []byte) []byte {
	dst = append(dst, kindRescued)
	for _, n := range []int{m.Connections, m.Ended, m.Reset, m.Fixed, m.Blamed, m.Lost} {
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return binary.BigEndian.AppendUint64(dst, m.Bytes)
}

func decodeRescued(p []byte) (m Rescued) {
	for i, n := range []*int{&m.Connections, &m.Ended, &m.Reset, &m.Fixed, &m.Blamed, &m.Lost} {
		*n = int(binary.BigEndian.Uint32(p[4*i:]))
	}
	m.Bytes = binary.BigEndian.Uint64(p[6*4:])
	return m
}

func (m Show) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindShow), m.ID)
}

func (m Shown) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, kindShown), m.ID)
}

func (m Recycle) append(dst []byte) []byte {
	return append(append(dst, kindRecycle), fit(m.Reason, MaxMessage-1)...)
}

func (m Remaining) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, kindRemaining), uint32(m.Connections))
	return binary.BigEndian.AppendUint64(dst, uint64(m.Bytes))
}

// fit returns s as valid UTF-8 in at most n bytes, cut between characters.
func fit(s string, n int) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Decode reads one whole message. It accepts nothing that [Encode] would not
// have written.
func Decode(p []byte) (Message, error) {
	if len(p) == 0 || len(p) > MaxMessage {
		return nil, fmt.Errorf("decode message of %d bytes: must be 1 to %d", len(p), MaxMessage)
	}
	if !utf8.Valid(text(p)) {
		return nil, fmt.Errorf("decode message of kind %d: text is not UTF-8", p[0])
	}
	switch kind, body := p[0], p[1:]; {
	case kind == kindReady && len(body) >= 4:
		pid := binary.BigEndian.Uint32(body)
		if !validPID(body) {
			return nil, fmt.Errorf("decode ready message: pid %d is out of range", pid)
		}
		return Ready{PID: int(pid), Version: string(body[4:])}, nil
	case kind == kindFailed && len(body) >= 1:
		return Failed{ExitCode: int(body[0]), Reason: string(body[1:])}, nil
	case kind == kindRecycle:
		return Recycle{Reason: string(body)}, nil
	case kind == kindRemaining && len(body) == 12:
		connections, left := binary.BigEndian.Uint32(body), binary.BigEndian.Uint64(body[4:])
		if connections > math.MaxInt32 || left > math.MaxInt64 {
			return nil, fmt.Errorf("decode remaining message: %d connections and %d bytes are out of range", connections, left)
		}
		return Remaining{Connections: int(connections), Bytes: int64(left)}, nil
	case kind == kindDrain && len(body) == 1 && body[0] <= 1:
		return Drain{Queue: body[0] == 1}, nil
	case kind == kindKeeper && len(body) == 4 && validPID(body):
		return Keeper{PID: int(binary.BigEndian.Uint32(body))}, nil
	case kind == kindRescue && len(body) == 1 && body[0] < byte(numBlames):
		return Rescue{Blame: Blame(body[0])}, nil
	case kind == kindRescued && len(body) == rescuedLen:
		return decodeRescued(body), nil
	case kind == kindShow && len(body) == 4:
		return Show{ID: binary.BigEndian.Uint32(body)}, nil
	case kind == kindShown && len(body) == 4:
		return Shown{ID: binary.BigEndian.Uint32(body)}, nil
	case len(body) == 0 && bare(kind) != nil:
		return bare(kind), nil
	case kind < kindReady || kind > kindRescued:
		return nil, fmt.Errorf("decode message: unknown kind %d", kind)
	default:
		return nil, fmt.Errorf("decode message of kind %d: wrong length %d", kind, len(p))
	}
}

// bare returns the message of a kind that says nothing but its kind, or nil.
func bare(kind byte) Message {
	switch kind {
	case kindServe:
		return Serve{}
	case kindDraining:
		return Draining{}
	case kindCanHandOver:
		return CanHandOver{}
	case kindTakeOver:
		return TakeOver{}
	case kindAlive:
		return Alive{}
	case kindKeep:
		return Keep{}
	}
	return nil
}

// text returns the part of a message that is text, behind its fixed fields.
func text(p []byte) []byte {
	fixed := map[byte]int{kindReady: 5, kindFailed: 2, kindDrain: 2, kindRemaining: 13, kindShow: 5, kindShown: 5, kindKeeper: 5, kindRescue: 2, kindRescued: 1 + rescuedLen}[p[0]]
	return p[min(fixed, len(p)):]
}

// ErrTruncated says that descriptors of a message were lost.
var ErrTruncated = errors.New("more descriptors came than the message may have, or than this process may open")

// ErrFull is returned by Send when the other side has stopped reading.
var ErrFull = errors.New("the other side does not read its messages")

func validPID(p []byte) bool {
	pid := binary.BigEndian.Uint32(p)
	return 1 <= pid && pid <= math.MaxInt32
}
