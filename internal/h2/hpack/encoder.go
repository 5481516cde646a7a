package hpack

import (
	"bytes"
	"encoding/binary"
)

// EncoderTable is the largest dynamic table that an [Encoder] uses, whatever its peer
// allows: enough for the fields that responses of a server have in common, since idle
// connections keep it.
const EncoderTable = 2048

// Encoder encodes the header blocks of a connection.
type Encoder struct {
	table table
	told  int  // the size of the table that the peer knows
	fewer bool // it has been smaller since
}

// NewEncoder returns an Encoder for a peer that has not changed the size of its table.
func NewEncoder() Encoder { return Encoder{table: table{max: EncoderTable}, told: DefaultTable} }

// Limit says how large a table the peer allows, in bytes: SETTINGS_HEADER_TABLE_SIZE.
func (e *Encoder) Limit(size uint32) {
	n := int(min(size, EncoderTable))
	if n < e.table.max {
		e.fewer = true
	}
	e.table.resize(n)
}

// Begin begins a header block. It announces the table's size, if that has changed
// (RFC 7541 §4.2): one that has been smaller in between as emptied, since some decoders
// take a second announcement for an error if there is something in their table.
func (e *Encoder) Begin(dst []byte) []byte {
	if e.fewer && e.table.max > 0 {
		e.table.empty()
		dst = appendInteger(dst, 0x20, 5, 0)
	}
	if e.fewer || e.told != e.table.max {
		dst = appendInteger(dst, 0x20, 5, e.table.max)
	}
	e.fewer, e.told = false, e.table.max
	return dst
}

// AppendIndexed appends a field of the static table by its index.
func (e *Encoder) AppendIndexed(dst []byte, index uint8) []byte { return append(dst, 0x80|index) }

// Append appends a field. The name may have upper-case letters, which become lower-case
// ones; it has to be written in the same way each time for a good compression.
func (e *Encoder) Append(dst, name, value []byte) []byte {
	hash := hash(name, value)
	for i := len(e.table.entries) - 1; i >= e.table.first; i-- {
		if e.table.entries[i].hash != hash {
			continue
		}
		index := len(e.table.entries) - i
		if n, v := e.table.at(index); bytes.Equal(n, name) && bytes.Equal(v, value) {
			return appendInteger(dst, 0x80, 7, len(static)+index)
		}
	}
	var space [32]byte
	lower := appendLower(space[:0], name)
	known := names[string(lower)]
	kept := !known.volatile && len(name)+len(value)+overhead <= e.table.max/2
	kind, prefix := byte(0), 4
	if kept {
		kind, prefix = 0x40, 6
		e.table.add(name, value, hash)
	}
	dst = appendInteger(dst, kind, prefix, int(known.index))
	if known.index == 0 {
		dst = appendString(dst, lower)
	}
	if !kept {
		// The few bytes that coding saves are not worth its time in each response.
		return append(appendInteger(dst, 0, 7, len(value)), value...)
	}
	return appendString(dst, value)
}

// hash tells most fields apart by their ends: names differ in the first bytes and the
// length, values in the last ones.
func hash(name, value []byte) uint32 {
	h := uint64(len(name))<<32 | uint64(len(value))
	h = (h ^ first8(name)) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32 ^ last8(value)) * 0x9E3779B97F4A7C15
	return uint32(h >> 32)
}

func first8(p []byte) uint64 {
	if len(p) >= 8 {
		return binary.LittleEndian.Uint64(p)
	}
	return short(p)
}

func last8(p []byte) uint64 {
	if len(p) >= 8 {
		// The last 4 bytes of a date are GMT: those before it differ.
		return binary.LittleEndian.Uint64(p[len(p)-8:]) ^ first8(p[:len(p)-4])
	}
	return short(p)
}

func short(p []byte) (x uint64) {
	for _, c := range p {
		x = x<<8 | uint64(c)
	}
	return x
}

// appendLower appends p with lower-case letters.
func appendLower(dst, p []byte) []byte {
	for _, c := range p {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// appendInteger appends an integer with a prefix of some bits (RFC 7541 §5.1) in a byte
// whose other bits are kind.
func appendInteger(dst []byte, kind byte, prefix, n int) []byte {
	limit := 1<<prefix - 1
	if n < limit {
		return append(dst, kind|byte(n))
	}
	dst = append(dst, kind|byte(limit))
	for n -= limit; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// appendString appends a string literal, by its Huffman code if that is shorter.
func appendString(dst, s []byte) []byte {
	if n := huffman.encodedLen(s); n < len(s) {
		return huffman.appendEncoded(appendInteger(dst, 0x80, 7, n), s)
	}
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}
