package accesslog

import "bytes"

// source is where lines come from: the ring of a worker, or what was left in the
// ring of one that has been detached.
type source struct {
	id   int
	ring *Ring  // nil: detached
	rest []byte // then
}

func (s *source) readable() (a, b []byte) {
	if s.ring == nil {
		return s.rest, nil
	}
	return s.ring.Readable()
}

func (s *source) consume(n int) {
	if s.ring == nil {
		s.rest = s.rest[min(n, len(s.rest)):]
	} else {
		s.ring.Consume(n)
	}
}

// batch is lines on their way into the file. They are still in their sources,
// which are told when they have been written.
type batch struct {
	lines []byte
	sent  int // bytes of them that were written
	parts []part
}

// part is what a batch has, unsent, of one source.
type part struct {
	source *source
	size   int  // bytes
	ended  bool // one more byte, a newline, was missing in the source
}

// maxBatch is how many bytes a batch has, unless a line alone is longer.
const maxBatch = 256 << 10

func (b *batch) reset() { b.lines, b.sent, b.parts = b.lines[:0], 0, b.parts[:0] }

func (b *batch) empty() bool { return b.sent == len(b.lines) }

// torn reports that half of a line was written.
func (b *batch) torn() bool {
	return !b.empty() && b.sent > 0 && b.lines[b.sent-1] != '\n'
}

// add takes whole lines of a source, as many as there is room for.
func (b *batch) add(s *source) {
	first, second := s.readable()
	n := fitting(first, second, max(0, maxBatch-len(b.lines)), len(b.lines) == 0)
	if n == 0 {
		return
	}
	k := min(n, len(first))
	b.lines = append(append(b.lines, first[:k]...), second[:n-k]...)
	p := part{source: s, size: n}
	if b.lines[len(b.lines)-1] != '\n' {
		// Workers write whole lines. This one has run mad, and the lines
		// of others must not suffer from it.
		b.lines = append(b.lines, '\n')
		p.ended = true
	}
	b.parts = append(b.parts, p)
}

// fitting returns how many bytes of two pieces, up to the end of a line, fit into
// the room; if not even one line does, and it must, then that of the first.
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

// advance tells the sources that n bytes more are done with.
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

// inFlight returns how many bytes of a source the batch still has.
func (b *batch) inFlight(s *source) int {
	for _, p := range b.parts {
		if p.source == s {
			return p.size
		}
	}
	return 0
}

// lines counts lines, the last one also if it has no end.
func lines(p []byte) int {
	n := bytes.Count(p, []byte{'\n'})
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return n
}
