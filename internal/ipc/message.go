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

// Message is one of [Ready], [Failed], [Serve] and [Draining].
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

// Draining tells the master that the worker takes no more connections and
// ends when those it has do.
type Draining struct{}

// The first byte of a message.
const (
	kindReady    = 1
	kindFailed   = 2
	kindServe    = 3
	kindDraining = 4
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
		if pid < 1 || pid > math.MaxInt32 {
			return nil, fmt.Errorf("decode ready message: pid %d is out of range", pid)
		}
		return Ready{PID: int(pid), Version: string(body[4:])}, nil
	case kind == kindFailed && len(body) >= 1:
		return Failed{ExitCode: int(body[0]), Reason: string(body[1:])}, nil
	case kind == kindServe && len(body) == 0:
		return Serve{}, nil
	case kind == kindDraining && len(body) == 0:
		return Draining{}, nil
	case kind < kindReady || kind > kindDraining:
		return nil, fmt.Errorf("decode message: unknown kind %d", kind)
	default:
		return nil, fmt.Errorf("decode message of kind %d: wrong length %d", kind, len(p))
	}
}

// text returns the part of a message that is text, behind its fixed fields.
func text(p []byte) []byte {
	fixed := map[byte]int{kindReady: 5, kindFailed: 2}[p[0]]
	return p[min(fixed, len(p)):]
}

// ErrFull is returned by Send when the other side has stopped reading.
var ErrFull = errors.New("the other side does not read its messages")
