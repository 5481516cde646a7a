package hpack

// DefaultTable is the initial maximum size of a dynamic table in bytes (RFC 7541 §4.1).
const DefaultTable = 4096

// overhead is added to the size of each entry (RFC 7541 §4.1).
const overhead = 32

// table is a dynamic table (RFC 7541 §2.3.2). Its memory grows with its entries.
type table struct {
	max, size int
	first     int     // index of the oldest entry
	entries   []entry // the last is the newest
	bytes     []byte  // of the entries, in their order
}

// entry is a field. Its name begins at off in the table's bytes, and its value follows.
type entry struct {
	off, name, value uint16
	hash             uint32 // set by an Encoder only
}

func (t *table) len() int { return len(t.entries) - t.first }

// at returns the field with the index; 1 is the newest.
func (t *table) at(index int) (name, value []byte) {
	e := t.entries[len(t.entries)-index]
	b := t.bytes[e.off : int(e.off)+int(e.name)+int(e.value)]
	return b[:e.name], b[e.name:]
}

// resize changes the maximum size.
func (t *table) resize(limit int) {
	t.max = limit
	t.evict(0)
}

// empty removes all entries.
func (t *table) empty() {
	limit := t.max
	t.resize(0)
	t.max = limit
}

// evict removes the oldest entries to make room for size bytes (RFC 7541 §4.3, §4.4). Their
// memory is not overwritten before add.
func (t *table) evict(size int) {
	for t.size+size > t.max && t.len() > 0 {
		e := t.entries[t.first]
		t.size -= int(e.name) + int(e.value) + overhead
		t.first++
	}
	if t.len() == 0 {
		t.first, t.entries = 0, t.entries[:0]
	}
}

// add copies a field into the table. The slices must not refer to the table's own bytes. A
// field larger than the table empties it.
func (t *table) add(name, value []byte, hash uint32) {
	size := len(name) + len(value) + overhead
	t.evict(size)
	if size > t.max {
		t.bytes = t.bytes[:0]
		return
	}
	t.compact(len(name) + len(value))
	e := entry{off: uint16(len(t.bytes)), name: uint16(len(name)), value: uint16(len(value)), hash: hash}
	t.bytes = append(append(t.bytes, name...), value...)
	t.entries = append(t.entries, e)
	t.size += size
}

// compact moves the remaining entries to the front if the table would otherwise grow, or its
// offsets exceed max.
func (t *table) compact(more int) {
	if len(t.bytes)+more <= cap(t.bytes) && len(t.bytes)+more <= t.max && len(t.entries) < cap(t.entries) {
		return
	}
	if t.len() == 0 {
		t.bytes = t.bytes[:0]
		return
	}
	from := t.entries[t.first].off
	if from == 0 && t.first == 0 {
		return
	}
	t.bytes = t.bytes[:copy(t.bytes, t.bytes[from:])]
	t.entries = t.entries[:copy(t.entries, t.entries[t.first:])]
	for i := range t.entries {
		t.entries[i].off -= from
	}
	t.first = 0
}
