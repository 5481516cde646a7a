package explain

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"phalanx/internal/conn"
	"phalanx/internal/human"
	"phalanx/internal/proto"
)

// say adds a step, unless it has been added before.
func (s *server) say(what, why string) {
	if step := (Step{what, why}); !slices.Contains(s.steps, step) {
		s.steps = append(s.steps, step)
	}
}

// requestSteps adds the steps that depend on the request alone.
func (s *server) requestSteps(x *conn.Exchange) {
	r := x.Request
	if len(x.Head) > 0 {
		head := "a well-formed head of " + human.Plural(len(x.Head), "byte", "bytes")
		if x.Version == conn.HTTP2 {
			head = "a well-formed header list" // which is compressed
		}
		s.say("request", fmt.Sprintf("%s: %s, %v", head, x.Method(), x.Version))
		s.clientSteps(x)
		if x.Denied {
			return
		}
		if s.cfg.Sites != nil {
			s.say("site", siteWhy(x))
		}
		if x.Status == proto.StatusMisdirectedRequest {
			return
		}
		if x.Moved == conn.MovedSecure {
			s.say("redirect", "the request came over HTTP, --listen has an HTTPS address, and --plain is redirect")
			return
		}
		switch r.Method {
		case proto.MethodGet, proto.MethodHead:
		case proto.MethodOptions:
			s.say("method", "OPTIONS lists the methods that are served (RFC 9110 §9.3.7)")
		case proto.MethodUnknown:
			s.say("method", "it is not known; methods are case-sensitive (RFC 9110 §9.1)")
		default:
			s.say("method", "it is known but not served; the methods served are "+proto.Allow)
		}
	}
	if x.Fault.Status != 0 {
		s.say("refused", x.Fault.Reason+" ("+x.Fault.Rule+")")
		return
	}
	if r.HasBody() && conn.ReadsBody(r.Method) {
		s.say("body", "the request's body is read and discarded before the response")
		if r.Expect {
			s.say("body", "the client waits for 100 Continue before it sends it (RFC 9110 §10.1.1)")
		}
	}
	if r.Method == proto.MethodGet || r.Method == proto.MethodHead {
		s.say("coding", codingsWhy(x))
		if s.cfg.Fallback && x.Status == proto.StatusNotFound && !proto.Navigates(r, x.Head) {
			s.say("fallback", "the --spa fallback is for navigation; by its Sec-Fetch-Mode, Sec-Fetch-Dest or Accept, this request is for data or for a part of a page")
		}
	}
}

// siteWhy describes how the host of the request selects the site.
func siteWhy(x *conn.Exchange) string {
	host := x.Request.Host(x.Head)
	switch {
	case x.Status == proto.StatusMisdirectedRequest:
		return fmt.Sprintf("no --site has the host %q, and --strict-host is given", host)
	case x.Site == 0:
		return fmt.Sprintf("no --site has the host %q, so its document root is --base", host)
	}
	return fmt.Sprintf("the host %q has a --site", host)
}

// ruleSteps adds the steps that depend on the rules of the site.
func (s *server) ruleSteps(x *conn.Exchange) {
	if len(x.Head) == 0 {
		return
	}
	path := x.Request.Path.In(x.Head)
	switch {
	case x.Rule.Name == "":
	case x.Moved == conn.MovedRule:
		s.say("rule", fmt.Sprintf("%v redirects this path", x.Rule))
	case x.Status == proto.StatusNotFound, x.Status == proto.StatusGone:
		s.say("rule", fmt.Sprintf("%v gives %d for this path, with a page of the site if there is one", x.Rule, x.Status))
	default:
		s.say("rule", fmt.Sprintf("%v serves another file in place of this path", x.Rule))
	}
	if s.cfg.Prefix != "" && x.Status == proto.StatusNotFound && !bytes.HasPrefix(path, []byte(s.cfg.Prefix+"/")) {
		s.say("path", "there is nothing outside "+s.cfg.Prefix+"/ (--prefix)")
	}
	for name, at := range x.Fields.Removed {
		s.say("fields", fmt.Sprintf("%v removes %s", at, name))
	}
}

func codingsWhy(x *conn.Exchange) string {
	var tokens []string
	for _, coding := range x.Codings.List() {
		tokens = append(tokens, coding.Token())
	}
	switch {
	case !x.Request.Has(proto.FieldAcceptEncoding):
		return "the request has no Accept-Encoding, so the file is sent as it is"
	case len(tokens) == 0:
		return "the client prefers the file as it is to br, zstd and gzip"
	}
	return "the client accepts, best first: " + strings.Join(tokens, ", ")
}

// fileSteps adds the steps that depend on the requested file.
func (s *server) fileSteps(x *conn.Exchange) {
	e := x.File.Entity()
	s.say("validators", s.validatorsWhy(x.File))
	tag := "the file's ETag " + string(e.Tag)
	if len(e.Tag) == 0 {
		tag = "the file's ETag (it has none)"
	}
	date := "the file's date, " + string(proto.AppendDate(nil, e.Modified))
	s.condition(x, proto.FieldIfMatch, "If-Match", x.Conditions.IfMatch, "is * or lists "+tag, "does not list "+tag+": 412")
	s.condition(x, proto.FieldIfUnmodifiedSince, "If-Unmodified-Since", x.Conditions.IfUnmodifiedSince, "is not before "+date, "is before "+date+": 412")
	s.condition(x, proto.FieldIfNoneMatch, "If-None-Match", x.Conditions.IfNoneMatch, "does not list "+tag, "is * or lists "+tag+": 304")
	s.condition(x, proto.FieldIfModifiedSince, "If-Modified-Since", x.Conditions.IfModifiedSince, "is before "+date, "is not before "+date+": 304")
	if x.Request.Has(proto.FieldRange) && x.Status != proto.StatusNotModified && x.Status != proto.StatusPreconditionFailed {
		s.say("range", rangeWhy(x))
	}
	if x.Source == conn.SourceFile && x.File.CacheControl() != "" {
		s.say("caching", "no Expires: Cache-Control overrides it (RFC 9111 §5.3)")
	}
}

// validatorsWhy describes the validators of the file.
func (s *server) validatorsWhy(f conn.File) string {
	e := f.Entity()
	if sum, tagged := f.Digest(); tagged {
		return contentTagWhy(e, sum)
	}
	if e.Undated {
		return "none: build tools give this modification time to every version of a file"
	}
	why := "ETag " + string(e.Tag) + " and"
	switch {
	case s.future(f):
		why = "no ETag, because the file's modification time is in the future;"
	case len(e.Tag) == 0:
		why = "no ETag yet, because the file was changed a moment ago, and may change again without a new time;"
	}
	return why + " Last-Modified " + string(proto.AppendDate(nil, e.Modified))
}

// contentTagWhy describes the validators of a file whose entity tag is made of its content.
func contentTagWhy(e *proto.Entity, sum []byte) string {
	why := "no ETag yet: it is made from the content (--etag), once the file has not changed for two seconds and, if it is larger than 8 KiB, its SHA-256 digest is in --cache-dir, where a server puts it in the background"
	if sum != nil {
		why = "ETag " + string(e.Tag) + ", made from the content (--etag), whose SHA-256 digest is " + hex.EncodeToString(sum)
	}
	if e.Undated {
		return why + "; no Last-Modified: build tools give this modification time to every version of a file"
	}
	return why + "; Last-Modified " + string(proto.AppendDate(nil, e.Modified))
}

// future reports whether the file's modification time is in the future.
func (s *server) future(f conn.File) bool { return f.Modified().Sec > s.now.Second.Unix }

// condition adds the step for a precondition, if the request has it.
func (s *server) condition(x *conn.Exchange, f proto.Field, name string, outcome proto.Outcome, yes, no string) {
	if !x.Request.Has(f) {
		return
	}
	why := "is not evaluated: another precondition takes precedence (RFC 9110 §13.2.2)"
	switch outcome {
	case proto.OutcomeNoDate:
		why = "is ignored: it is not one valid date"
	case proto.OutcomeUndated:
		why = "is ignored: the file has no Last-Modified (RFC 9110 §13.1.3, §13.1.4)"
	case proto.OutcomeTrue:
		why = yes
	case proto.OutcomeFalse:
		why = no
	}
	s.say("precondition", name+" "+why)
}

func rangeWhy(x *conn.Exchange) string {
	if x.RangeField != proto.RangeTaken {
		return "Range is ignored and the whole file sent: " + cmp.Or(ignoredWhys[x.RangeField], "it is malformed") + " (RFC 9110 §14.2)"
	}
	if len(x.Ranges) == 0 {
		return fmt.Sprintf("no requested range lies within the file's %d bytes: 416", x.File.Size())
	}
	why := fmt.Sprintf("of the file's %d bytes:", x.File.Size())
	for _, part := range x.Ranges {
		why += fmt.Sprintf(" %d-%d", part.Off, part.End()-1)
	}
	return why
}

// ignoredWhys has the reasons for which Range is ignored.
var ignoredWhys = map[proto.RangeOutcome]string{
	proto.RangeNotGet:      "the method is not GET",
	proto.IfRangeWeak:      "If-Range has a weak tag",
	proto.IfRangeTags:      "If-Range has more than one tag",
	proto.IfRangeNoTag:     "If-Range has a tag, and the file has none",
	proto.IfRangeOtherTag:  "If-Range has a different tag from the file",
	proto.IfRangeMalformed: "If-Range is neither a tag nor a date",
	proto.IfRangeNoDate:    "If-Range has a date, and the file has none",
	proto.IfRangeOtherDate: "If-Range has a different date from the file",
	proto.IfRangeYoung:     "If-Range has the file's date, which is less than a second old and therefore weak",
	proto.RangeUnit:        "its unit is not bytes",
	proto.RangeEmpty:       "the file is empty",
	proto.RangeTooMany:     fmt.Sprintf("it asks for more than %d ranges", proto.MaxRanges),
	proto.RangeTooLong:     "the total length of its ranges overflows",
}
