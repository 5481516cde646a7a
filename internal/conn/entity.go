package conn

import (
	"math"
	"time"

	"phalanx/internal/proto"
)

// entity returns the file's header fields. A file that has just been changed may change again
// without a new time, so it has no ETag yet, and its fields are not cached. A time in the
// future is replaced by that of the response (RFC 9110 §8.8.2.1).
func (r *Reply) entity(f File, now Now) *proto.Entity {
	e := f.Entity()
	if e.Settled {
		return e
	}
	e.Reset()
	modified := f.Modified().Sec
	sum, tagged := f.Digest()
	// A time that a build tool has set is the same for every version, so it is used neither
	// as a date nor for an ETag.
	e.Undated = f.Modified().Set()
	switch {
	case tagged && sum == nil:
	case tagged:
		e.Settled = e.Undated || modified <= now.Second.Unix
		e.Tag = proto.AppendContentTag(e.Tag, sum)
	case e.Undated:
		e.Settled = true
	case f.Settled() && modified <= now.Second.Unix:
		e.Settled = true
		e.Tag = proto.AppendETag(e.Tag, f.Modified(), f.Size(), f.Coding().Token())
	}
	e.Modified = min(modified, now.Second.Unix)
	out := e.Fields
	if rule := f.CacheControl(); rule != "" {
		out = proto.AppendField(out, "Cache-Control", rule)
	} else {
		out = proto.AppendInt(out, "Cache-Control: max-age=", int64(r.cfg.Expires/time.Second))
	}
	if vary := f.Vary(); vary != "" {
		out = proto.AppendField(out, "Vary", vary)
	}
	out = appendModified(out, e)
	if len(e.Tag) > 0 {
		out = append(append(append(out, "ETag: "...), e.Tag...), "\r\n"...)
	}
	e.Always = len(out)
	out = append(out, "Accept-Ranges: bytes\r\n"...)
	if token := f.Coding().Token(); token != "" {
		out = proto.AppendField(out, "Content-Encoding", token)
	}
	e.Part = len(out)
	out = proto.AppendField(out, "Content-Type", f.ContentType())
	out = proto.AppendInt(out, "Content-Length: ", f.Size())
	e.Fields = append(out, "\r\n"...)
	return e
}

func appendModified(out []byte, e *proto.Entity) []byte {
	if e.Undated {
		return out
	}
	return append(proto.AppendDate(append(out, "Last-Modified: "...), e.Modified), "\r\n"...)
}

// file answers with the file, or as preconditions and ranges require.
func (r *Reply) file(out []byte, now Now) []byte {
	x, f := r.x, r.segment.File
	req := x.Request
	e := r.entity(f, now)
	v := e.Validators(now.Second.Unix)
	var status proto.Status
	status, x.Conditions = proto.Precondition(req, x.Head, v)
	switch status {
	case proto.StatusNotModified:
		out = r.startFile(out, status, now)
		return r.end(append(out, e.Fields[:e.Always]...))
	case proto.StatusPreconditionFailed:
		return r.fail(out, status, now)
	}
	if req.Has(proto.FieldRange) {
		x.Ranges, x.RangeField = rangesOf(x.Ranges, req, x.Head, f.Size(), v)
		switch {
		case x.RangeField != proto.RangeTaken:
		case len(x.Ranges) == 0:
			return r.fail(out, proto.StatusRangeNotSatisfiable, now)
		case len(x.Ranges) == 1:
			return r.oneRange(out, e, x.Ranges[0], now)
		default:
			return r.manyRanges(out, e, now)
		}
	}
	out = r.startFile(out, proto.StatusOK, now)
	if req.Method == proto.MethodGet {
		r.segment.Len = f.Size()
	}
	return r.amend(append(out, e.Fields...))
}

// betweenParts is the limit of the bytes of a multipart response besides its parts.
const betweenParts = 1 << 20

// rangesOf appends the requested ranges of a file of size bytes to dst, which is empty; none
// if Range is ignored.
func rangesOf(dst []proto.Range, r *proto.Request, head []byte, size int64, v proto.Validators) ([]proto.Range, proto.RangeOutcome) {
	if r.Method != proto.MethodGet {
		return dst, proto.RangeNotGet
	}
	if outcome := proto.RangeApplies(r, head, v); outcome != proto.RangeTaken {
		return dst, outcome
	}
	ranges, outcome := proto.ParseRange(dst, r.Value(head, proto.FieldRange), size)
	if len(ranges) > 1 && size > math.MaxInt64-betweenParts {
		outcome = proto.RangeTooLong
	}
	if outcome != proto.RangeTaken {
		ranges = ranges[:0]
	}
	return ranges, outcome
}

// oneRange answers with a part of the file (RFC 9110 §15.3.7.1).
func (r *Reply) oneRange(out []byte, e *proto.Entity, part proto.Range, now Now) []byte {
	f := r.segment.File
	out = r.startFile(out, proto.StatusPartialContent, now)
	out = append(out, e.Fields[:e.Part]...)
	out = proto.AppendField(out, "Content-Type", f.ContentType())
	out = append(out, "Content-Range: "...)
	out = proto.AppendContentRange(out, part, f.Size())
	out = append(out, "\r\n"...)
	out = proto.AppendInt(out, "Content-Length: ", part.Len)
	r.segment.Off, r.segment.Len = part.Off, part.Len
	return r.end(out)
}

// startFile appends the status line and the fields that change with time. If a rule
// sets Cache-Control for the path, Expires is left out: it could contradict the rule
// for caches that know only Expires (RFC 9111 §5.3).
func (r *Reply) startFile(out []byte, s proto.Status, now Now) []byte {
	out = r.start(out, s, SourceFile, now)
	if s != proto.StatusNotModified && r.x.Request.WantsDigest {
		out = r.digest(out)
	}
	if r.segment.File.CacheControl() != "" {
		return out
	}
	return append(out, now.Second.expires...)
}

// digest appends the digest of the whole representation, if it is known and the client wants
// it. Others do not get it: few clients check it, and it would double a short head.
func (r *Reply) digest(out []byte) []byte {
	if sum, _ := r.segment.File.Digest(); sum != nil {
		return proto.AppendReprDigest(out, sum)
	}
	return out
}
