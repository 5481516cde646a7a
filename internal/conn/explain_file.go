package conn

import (
	"fmt"
	"strings"
	"time"

	"phalanx/internal/proto"
)

// explainValidators says what the file is known by.
func (c *Conn) explainValidators(f File, e *proto.Entity, now Now) {
	if e.Undated {
		c.explain("validators", "none: the file's time of change is one that build tools set, whatever the version")
		return
	}
	why := "ETag " + string(e.Tag) + " and"
	switch {
	case f.Modified().Sec > now.Second.Unix:
		why = "no ETag, for the file's time of change lies in the future;"
	case len(e.Tag) == 0:
		why = "no ETag yet, for the file was changed a moment ago, and may change again without a new time;"
	}
	c.explain("validators", why+" Last-Modified "+string(proto.AppendDate(nil, e.Modified)))
}

// explainEntity says what the fields of a reply with the file come from, those
// that its name does not decide.
func (c *Conn) explainEntity(f File, now Now) {
	if f.CacheControl() == "" {
		c.explain("Expires:", "now and --expires, for those that do not know Cache-Control")
		c.explain("Cache-Control:", "--expires "+short(c.cfg.Expires)+", for no --cache rule fits the path")
	} else {
		c.explain("caching", "no Expires: the --cache rule says all there is to say (RFC 9111 §5.3)")
	}
	c.explain("Vary:", "files of this type may lie ready in other codings")
	if f.Modified().Sec > now.Second.Unix {
		c.explain("Last-Modified:", "now, for the file's own time lies in the future (RFC 9110 §8.8.2.1)")
	} else {
		c.explain("Last-Modified:", "when the file was changed")
	}
	tag := "the file's time of change in ns and its size, in hexadecimal"
	if f.Coding() != proto.Identity {
		tag += ", and its coding"
	}
	c.explain("ETag:", tag)
	c.explain("Accept-Ranges:", "every file may be asked for in parts")
	c.explain("Content-Length:", "the size of the file")
}

// short is a duration without the zeros at its end: 12h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// explainConditions says what each precondition came to.
func (c *Conn) explainConditions(r *proto.Request, e *proto.Entity, came proto.Conditions) {
	tag := "the file's tag " + string(e.Tag)
	if len(e.Tag) == 0 {
		tag = "the tag that the file does not have"
	}
	date := "the file's date, " + string(proto.AppendDate(nil, e.Modified))
	for _, p := range []struct {
		field   proto.Field
		name    string
		outcome proto.Outcome
		yes, no string
	}{
		{proto.FieldIfMatch, "If-Match", came.IfMatch, "is * or lists " + tag, "does not list " + tag + ": 412"},
		{proto.FieldIfUnmodifiedSince, "If-Unmodified-Since", came.IfUnmodifiedSince, "is not before " + date, "is before " + date + ": 412"},
		{proto.FieldIfNoneMatch, "If-None-Match", came.IfNoneMatch, "does not list " + tag, "is * or lists " + tag + ": 304"},
		{proto.FieldIfModifiedSince, "If-Modified-Since", came.IfModifiedSince, "is before " + date, "is not before " + date + ": 304"},
	} {
		if !r.Has(p.field) {
			continue
		}
		why := map[proto.Outcome]string{
			proto.OutcomeNone:    "is not looked at: another precondition has decided (RFC 9110 §13.2.2)",
			proto.OutcomeNoDate:  "is ignored: it is not one valid date",
			proto.OutcomeUndated: "is ignored: the file has no Last-Modified (RFC 9110 §13.1.3, §13.1.4)",
			proto.OutcomeTrue:    p.yes,
			proto.OutcomeFalse:   p.no,
		}[p.outcome]
		c.explain("precondition", p.name+" "+why)
	}
}

// explainRanges says what came of the Range field.
func (c *Conn) explainRanges(ranges []proto.Range, whole string, size int64) {
	why := "no range that is asked for lies within the file's %d bytes: 416"
	switch {
	case whole != "":
		c.explain("range", "Range is ignored and the whole file sent: "+whole+" (RFC 9110 §14.2)")
		return
	case len(ranges) > 0:
		why = "of the file's %d bytes:"
		for _, part := range ranges {
			why += fmt.Sprintf(" %d-%d", part.Off, part.End()-1)
		}
	}
	c.explain("range", fmt.Sprintf(why, size))
}
