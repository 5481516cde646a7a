package proto

// Entity is what replies say of a file, made once and kept with it. The zero
// value is one that has not been made.
type Entity struct {
	// Settled says that what was made stays right as long as the file does.
	Settled  bool
	Modified int64  // for Last-Modified, in seconds since 1970
	Undated  bool   // there is no Last-Modified
	Tag      []byte // the entity tag with its quotes, or empty
	// Fields are header fields: those of every reply, 304 too, up to Always;
	// those of a reply with the file or a part of it, up to Part; and the
	// rest of the head of a reply with all of it.
	Fields       []byte
	Always, Part int
}

// Reset makes e like new, but keeps its memory.
func (e *Entity) Reset() { *e = Entity{Tag: e.Tag[:0], Fields: e.Fields[:0]} }

// Validators are what the file is known by in a reply at the date, which is
// in seconds since 1970.
func (e *Entity) Validators(date int64) Validators {
	v := Validators{Modified: e.Modified, Undated: e.Undated, Date: date}
	if len(e.Tag) > 0 {
		v.ETag = e.Tag
	}
	return v
}
