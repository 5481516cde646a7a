package accesslog

import (
	"bytes"
	"encoding/binary"
	"time"

	"phalanx/internal/logging"
)

// source is a source of lines: the ring of a worker, or the remaining lines of a
// detached ring.
type source struct {
	id   int
	ring *Ring  // nil: detached
	rest []byte // its remaining lines, if detached

	budget logging.Budget // limits a worker that floods the log
}

func (s *source) readable() (a, b []byte) {
	if s.ring == nil {
		return s.rest, nil
	}
	return s.ring.Readable()
}

// overBudget reports whether the worker has written so much within the current second that
// its other lines have to wait.
func (s *source) overBudget(now time.Time) bool {
	return s.ring != nil && s.budget.Spent(logging.MostBytes, now)
}

func (s *source) consume(n int) {
	if s.ring == nil {
		s.rest = s.rest[min(n, len(s.rest)):]
	} else {
		s.ring.Consume(n)
	}
}

// batch is the lines being written. They stay in their sources until they have been
// written.
type batch struct {
	lines []byte
	sent  int // bytes of them written
	parts []part
}

// part is the unwritten share of one source in a batch.
type part struct {
	source *source
	size   int  // bytes
	ended  bool // followed by a newline that the source lacked
}

// maxBatch limits the bytes of a batch, unless a single line is longer.
const maxBatch = 256 << 10

func (b *batch) reset() { b.lines, b.sent, b.parts = b.lines[:0], 0, b.parts[:0] }

func (b *batch) empty() bool { return b.sent == len(b.lines) }

// torn reports whether a line has been written partly.
func (b *batch) torn() bool {
	return !b.empty() && b.sent > 0 && b.lines[b.sent-1] != '\n'
}

// add adds whole lines of a source, as many as fit.
func (b *batch) add(s *source) {
	first, second := s.readable()
	n := fitting(first, second, max(0, maxBatch-len(b.lines)), len(b.lines) == 0)
	if n == 0 {
		return
	}
	k, from := min(n, len(first)), len(b.lines)
	b.lines = append(append(b.lines, first[:k]...), second[:n-k]...)
	clean(b.lines[from:])
	s.budget.Take(n)
	p := part{source: s, size: n}
	if b.lines[len(b.lines)-1] != '\n' {
		// Workers write whole lines. This one has corrupted its ring, which
		// must not affect the lines of others.
		b.lines = append(b.lines, '\n')
		p.ended = true
	}
	b.parts = append(b.parts, p)
}

// clean replaces bytes that no [Formatter] writes, such as control characters: a compromised
// worker can write anything into its ring.
func clean(p []byte) {
	for len(p) >= 8 {
		if !printable(binary.LittleEndian.Uint64(p)) {
			cleanBytes(p[:8])
		}
		p = p[8:]
	}
	cleanBytes(p)
}

// printable reports whether eight bytes are visible ASCII or spaces. It may return false for
// eight that are.
func printable(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	less, more := (x-ones*0x20)&^x, x+ones|x // the highest bit of a byte is set if it is below 0x20, or above 0x7e
	return (less|more)&high == 0
}

func cleanBytes(p []byte) {
	for i, c := range p {
		if (c < 0x20 || c > 0x7e) && c != '\n' {
			p[i] = '?'
		}
	}
}

// fitting returns how many bytes of two pieces, up to the end of a line, fit into room. If
// no line fits, it returns 0, or the length of the first line if must is set.
func fitting(first, second []byte, room int, must bool) int {
	all := len(first) + len(second)
	if all <= room {
		return all
	}
	if room > len(first) {
		if i := bytes.LastIndexByte(second[:room-len(first)], '\n'); i >= 0 {
			return len(first) + i + 1
		}
	}
	if i := bytes.LastIndexByte(first[:min(room, len(first))], '\n'); i >= 0 {
		return i + 1
	}
	if !must {
		return 0
	}
	if i := bytes.IndexByte(first, '\n'); i >= 0 {
		return i + 1
	}
	if i := bytes.IndexByte(second, '\n'); i >= 0 {
		return len(first) + i + 1
	}
	return all
}

// advance consumes n more bytes of the sources.
func (b *batch) advance(n int) {
	b.sent += n
	for n > 0 {
		p := &b.parts[0]
		k := min(n, p.size)
		p.source.consume(k)
		p.size -= k
		n -= k
		if p.size == 0 && p.ended && n > 0 {
			p.ended = false
			n--
		}
		if p.size == 0 && !p.ended {
			b.parts = b.parts[1:]
		}
	}
}

// inFlight returns how many bytes of a source are still in the batch.
func (b *batch) inFlight(s *source) int {
	for _, p := range b.parts {
		if p.source == s {
			return p.size
		}
	}
	return 0
}

// lines counts lines, including an unterminated last one.
func lines(p []byte) int {
	n := bytes.Count(p, []byte{'\n'})
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
