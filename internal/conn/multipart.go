package conn

import (
	"strconv"

	"phalanx/internal/proto"
)

// multipart is a response with several ranges (RFC 9110 §15.3.7.2): the ranges that are not
// sent yet, and the boundary between them.
type multipart struct {
	ranges      []proto.Range
	boundary    string
	contentType []byte // of the file; empty: the parts have none
}

// manyRanges answers with several parts of the file. The head of each part is made when the
// part is sent; the total length is known now.
func (r *Reply) manyRanges(out []byte, e *proto.Entity, now Now) []byte {
	out = r.startFile(out, proto.StatusPartialContent, now)
	m := &multipart{
		ranges:      r.x.Ranges,
		boundary:    boundary(now, e),
		contentType: []byte(r.segment.File.ContentType()),
	}
	if r.x.Fields != nil {
		m.contentType = r.x.Fields.ContentType(m.contentType)
	}
	var space [512]byte
	length := int64(len(m.appendEnd(space[:0])))
	for _, part := range m.ranges {
		length += int64(len(m.appendPart(space[:0], r.segment.File, part))) + part.Len
	}
	out = append(out, e.Fields[:e.Part]...)
	out = proto.AppendField(out, "Content-Type", "multipart/byteranges; boundary="+m.boundary)
	out = proto.AppendInt(out, "Content-Length: ", length)
	r.x.parts = m
	return r.end(out)
}

// nextPart appends the head of the next part and makes the part the segment, or appends the
// closing delimiter.
func (r *Reply) nextPart(out []byte) []byte {
	m := r.x.parts
	if len(m.ranges) == 0 {
		r.x.parts = nil
		return m.appendEnd(out)
	}
	part := m.ranges[0]
	m.ranges = m.ranges[1:]
	r.segment.Off, r.segment.Len = part.Off, part.Len
	return m.appendPart(out, r.segment.File, part)
}

func (m *multipart) appendPart(out []byte, f File, part proto.Range) []byte {
	out = append(out, "\r\n--"...)
	out = append(out, m.boundary...)
	if len(m.contentType) > 0 {
		out = append(append(out, "\r\nContent-Type: "...), m.contentType...)
	}
	out = append(out, "\r\nContent-Range: "...)
	out = proto.AppendContentRange(out, part, f.Size())
	return append(out, "\r\n\r\n"...)
}

func (m *multipart) appendEnd(out []byte) []byte {
	out = append(out, "\r\n--"...)
	out = append(out, m.boundary...)
	return append(out, "--\r\n"...)
}

// boundary makes a delimiter that the author of the file could not predict: it depends on the
// current nanosecond. The multiplier spreads it over 64 bits (Knuth, The Art of Computer
// Programming, §6.4).
func boundary(now Now, e *proto.Entity) string {
	x := (uint64(now.Mono) ^ uint64(e.Modified)<<32 ^ uint64(now.Second.Unix)) * 0x9E3779B97F4A7C15
	return "phalanx-" + strconv.FormatUint(x, 36)
}
