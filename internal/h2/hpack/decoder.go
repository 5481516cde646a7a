// Package hpack compresses header fields for HTTP/2 (RFC 7541), without an allocation in the
// steady state: fields are slices of the tables and of the caller's memory. A Decoder and an
// Encoder hold the two dynamic tables of a connection, which grow with their content. The
// package does not interpret fields.
package hpack

import "errors"

// Errors of a header block. The connection cannot continue after one, since the tables of both
// ends may differ (RFC 9113 §4.3).
var (
	ErrDecode = errors.New("a header block is malformed")
	ErrSize   = errors.New("a header block changes the table size after a field")
)

// Field is a header field. Its bytes are valid until the next call of [Decoder.Next].
type Field struct {
	Name, Value []byte
}

// Size returns the field's size as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2).
func (f Field) Size() int { return len(f.Name) + len(f.Value) + overhead }

// Scratch is memory for decoding, shared by the Decoders of a goroutine.
type Scratch struct{ bytes []byte }

// Decoder decodes the header blocks of a connection, one field at a time.
type Decoder struct {
	table table
	began bool // a field of the current block has been decoded
}

// NewDecoder returns a Decoder whose dynamic table holds at most [DefaultTable] bytes.
func NewDecoder() Decoder { return Decoder{table: table{max: DefaultTable}} }

// Begin begins a header block.
func (d *Decoder) Begin() { d.began = false }

// Next decodes the first field of a block and returns the rest of the block. ok is false if
// the block has no more fields.
func (d *Decoder) Next(block []byte, s *Scratch) (f Field, rest []byte, ok bool, err error) {
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		// RFC 7541 §4.2, §6.3: a size update comes before the first field.
		if d.began {
			return f, nil, false, ErrSize
		}
		var size uint64
		if size, block, ok = integer(block, 5); !ok || size > DefaultTable {
			return f, nil, false, ErrDecode
		}
		d.table.resize(int(size))
	}
	if len(block) == 0 {
		return f, nil, false, nil
	}
	d.began = true
	if block[0]&0x80 != 0 {
		index, rest, ok := integer(block, 7)
		if !ok || index == 0 {
			return f, nil, false, ErrDecode
		}
		f, ok = d.indexed(index, true)
		if !ok {
			return f, nil, false, ErrDecode
		}
		return f, rest, true, nil
	}
	if f, rest, ok = d.literal(block, s); !ok {
		return f, nil, false, ErrDecode
	}
	return f, rest, true, nil
}

// literal decodes a literal field, whose name may be indexed (RFC 7541 §6.2).
func (d *Decoder) literal(block []byte, s *Scratch) (f Field, rest []byte, ok bool) {
	prefix, kept := 4, block[0]&0x40 != 0
	if kept {
		prefix = 6
	}
	index, rest, ok := integer(block, prefix)
	if !ok {
		return f, nil, false
	}
	s.bytes = s.bytes[:0]
	if index == 0 {
		f.Name, rest, ok = s.string(rest)
	} else {
		f, ok = d.indexed(index, false)
	}
	if !ok {
		return f, nil, false
	}
	if kept && index > uint64(len(static)) {
		// Adding the new entry may evict the one that has the name (RFC 7541 §4.4).
		from := len(s.bytes)
		s.bytes = append(s.bytes, f.Name...)
		f.Name = s.bytes[from:]
	}
	if f.Value, rest, ok = s.string(rest); !ok {
		return f, nil, false
	}
	if kept {
		d.table.add(f.Name, f.Value, 0)
	}
	return f, rest, true
}

// indexed returns the field with an index, or only its name if value is false.
func (d *Decoder) indexed(index uint64, value bool) (f Field, ok bool) {
	if index <= uint64(len(static)) {
		f = static[index-1]
	} else if index -= uint64(len(static)); index <= uint64(d.table.len()) {
		f.Name, f.Value = d.table.at(int(index))
	} else {
		return f, false
	}
	if !value {
		f.Value = nil
	}
	return f, true
}

// integer decodes an integer with a prefix of prefix bits (RFC 7541 §5.1).
func integer(p []byte, prefix int) (n uint64, rest []byte, ok bool) {
	limit := uint64(1)<<prefix - 1
	n = uint64(p[0]) & limit
	p = p[1:]
	if n < limit {
		return n, p, true
	}
	for shift := 0; len(p) > 0 && shift < 63; shift += 7 {
		b := p[0]
		p = p[1:]
		n += uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return n, p, true
		}
	}
	return 0, nil, false
}

// string decodes a string literal (RFC 7541 §5.2).
func (s *Scratch) string(p []byte) (str, rest []byte, ok bool) {
	if len(p) == 0 {
		return nil, nil, false
	}
	coded := p[0]&0x80 != 0
	n, p, ok := integer(p, 7)
	if !ok || n > uint64(len(p)) {
		return nil, nil, false
	}
	str, rest = p[:n], p[n:]
	if coded {
		from := len(s.bytes)
		s.bytes, ok = huffman.appendDecoded(s.bytes, str)
		str = s.bytes[from:]
	}
	return str, rest, ok
}
