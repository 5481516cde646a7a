package proto

// Entity holds the header fields and validators of a file, which are made once and cached with
// it. The zero value is not filled in.
type Entity struct {
	// Settled: the entity is valid as long as the file does not change.
	Settled  bool
	Modified int64  // for Last-Modified, in seconds since 1970
	Undated  bool   // there is no Last-Modified
	Tag      []byte // the entity tag with its quotes, or empty
	// Fields holds header fields: up to Always those of every reply, including 304; up to Part
	// also those of a reply with the file or a part of it; the rest completes the head of a
	// reply with the entire file.
	Fields       []byte
	Always, Part int
}

// Reset makes e the zero value, but keeps its memory.
func (e *Entity) Reset() { *e = Entity{Tag: e.Tag[:0], Fields: e.Fields[:0]} }

// Validators returns the file's validators in a reply at date, in seconds since 1970.
func (e *Entity) Validators(date int64) Validators {
	v := Validators{Modified: e.Modified, Undated: e.Undated, Date: date}
	if len(e.Tag) > 0 {
		v.ETag = e.Tag
	}
	return v
}
