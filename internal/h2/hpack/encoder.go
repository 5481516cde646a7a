package hpack

import (
	"bytes"
	"hash/maphash"
)

// EncoderTable is the size in bytes of the largest dynamic table of an [Encoder]. It holds the
// fields that the responses of a server have in common. Idle connections keep it, so it is
// small.
const EncoderTable = 2048

// Encoder encodes the header blocks of a connection.
type Encoder struct {
	table table
	told  int  // the table size last announced to the peer
	fewer bool // the size was reduced since then
}

// NewEncoder returns an Encoder for a peer that has not changed the size of its table.
func NewEncoder() Encoder { return Encoder{table: table{max: EncoderTable}, told: DefaultTable} }

// Limit sets the largest table that the peer allows, in bytes (SETTINGS_HEADER_TABLE_SIZE).
func (e *Encoder) Limit(size uint32) {
	n := int(min(size, EncoderTable))
	if n < e.table.max {
		e.fewer = true
	}
	e.table.resize(n)
}

// Begin begins a header block. It announces a changed table size (RFC 7541 §4.2). If the size
// was reduced in between, it first announces 0, which empties the table: some decoders reject
// a second update while their table has entries.
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

// AppendStatus appends the field :status.
func (e *Encoder) AppendStatus(dst, status []byte) []byte {
	if index := statuses[string(status)]; index != 0 {
		return append(dst, 0x80|index)
	}
	return e.Append(dst, []byte(":status"), status)
}

// Append appends a field, its name in lower case. The table is searched for the name as given,
// so callers should always spell it the same way.
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
		// Huffman coding would save few bytes for its time.
		return append(appendInteger(dst, 0, 7, len(value)), value...)
	}
	return appendString(dst, value)
}

// seed is never changed.
var seed = maphash.MakeSeed()

// hash is the same for fields whose names differ only in their letters: few have the same value.
func hash(name, value []byte) uint32 { return uint32(maphash.Bytes(seed, value)) + uint32(len(name)) }

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

// appendInteger appends an integer with a prefix of prefix bits (RFC 7541 §5.1). The other
// bits of the first byte are kind.
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

// appendString appends a string literal, Huffman-coded if that is shorter.
func appendString(dst, s []byte) []byte {
	if n := huffman.encodedLen(s); n < len(s) {
		return huffman.appendEncoded(appendInteger(dst, 0x80, 7, n), s)
	}
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}
