package conn

import (
	"bytes"
	"strings"

	"phalanx/internal/proto"
	"phalanx/internal/rules"
)

// This file applies the rules of the site (_redirects and _headers).

// rules returns the rules for the exchange, always the same ones: new rules apply to the next
// exchange.
func (r *Reply) rules() *rules.Set {
	x := r.x
	if !x.asked {
		x.asked = true
		if x.site != nil {
			x.set = x.site.Rules()
		}
	}
	return x.set
}

// ruled returns the request as rules see it, with its path in the site.
func (r *Reply) ruled(path []byte) rules.Request {
	req, head := r.x.Request, r.x.Head
	return rules.Request{Path: path, Query: req.Query.In(head), Host: req.Host(head), Port: req.Port(head), Secure: r.x.Secure, Prefix: r.cfg.Prefix}
}

// decides reports whether a rule decides about a path at which there is no file. A rule that
// matches its own target decides only if there is something at the target.
func (r *Reply) decides(set *rules.Set, path []byte) bool {
	m := &r.cfg.match
	if !set.Find(m, r.ruled(path)) || r.undone(path) {
		return false
	}
	if !m.Grows() {
		return true
	}
	status := r.at(targetPath(m))
	return status < proto.StatusBadRequest || status == proto.StatusUnauthorized // the client may not learn what is there
}

// undone reports whether the site would redirect the client back from the target of the rule that
// was found, because that only lacks the slash of a directory, or the path is its clean URL.
func (r *Reply) undone(path []byte) bool {
	m := &r.cfg.match
	if !m.Moves() || m.External() {
		return false
	}
	target := targetPath(m)
	if !bytes.Equal(bytes.TrimRight(cleaned(target), "/"), bytes.TrimRight(path, "/")) {
		return false
	}
	status := r.at(target)
	return status == proto.StatusMovedPermanently || status == proto.StatusPermanentRedirect
}

// targetPath returns the path of a rule's target.
func targetPath(m *rules.Match) []byte {
	target := m.Target()
	if end := bytes.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	return target
}

// at returns the status of what is at a path of the site.
func (r *Reply) at(path []byte) proto.Status {
	f, status := r.x.site.Open(path, proto.Codings{}, &r.x.access)
	if f != nil && status == proto.StatusOK {
		f.Close()
	}
	return status
}

// applyRule answers as the rule that was found says.
func (r *Reply) applyRule(out []byte, now Now) []byte {
	m := &r.cfg.match
	r.x.Rule = m.Position()
	if m.Moves() {
		location := m.Target()
		if r.cfg.Prefix != "" && !m.External() {
			location = append([]byte(r.cfg.Prefix), location...)
		}
		r.x.Moved = MovedRule
		return r.page(out, m.Status(), location, now)
	}
	codings := r.x.Codings
	if m.Status() != proto.StatusOK {
		codings = proto.Codings{} // an error page is sent without a content coding
	}
	f, status := r.rewritten(m.Target(), codings)
	switch ruled := m.Status(); {
	case status == proto.StatusNotFound && ruled == proto.StatusGone:
		return r.page(out, ruled, nil, now)
	case status != proto.StatusOK:
		return r.fail(out, status, now)
	case ruled != proto.StatusOK:
		return r.sitePage(out, ruled, f, now)
	}
	r.segment.File = f
	return r.file(out, now)
}

// rewritten opens the file at a rule's target. If a client would be redirected from there to
// another path, it opens the file at that path.
func (r *Reply) rewritten(path []byte, codings proto.Codings) (File, proto.Status) {
	f, status := r.x.site.Open(path, codings, &r.x.access)
	switch status {
	case proto.StatusMovedPermanently:
		f, status = r.x.site.Open(append(path, '/'), codings, &r.x.access)
	case proto.StatusPermanentRedirect:
		f, status = r.x.site.Open(cleaned(path), codings, &r.x.access)
	}
	if status < proto.StatusBadRequest && status != proto.StatusOK {
		status = proto.StatusNotFound // only one such redirection is followed
	}
	return f, status
}

// moveToClean sends the client to the cleaner path of a file.
func (r *Reply) moveToClean(out []byte, now Now) []byte {
	r.x.Moved = MovedClean
	return r.moveTo(out, proto.StatusPermanentRedirect, cleaned(r.x.Request.Path.In(r.x.Head)), now)
}

// cleaned returns the clean URL of a path that has one: the path without "index.html",
// "index", ".html" or the slash at its end.
func cleaned(path []byte) []byte {
	for _, index := range [2]string{"index.html", "index"} {
		if bytes.HasSuffix(path, []byte("/"+index)) {
			return path[:len(path)-len(index)]
		}
	}
	if page, ok := bytes.CutSuffix(path, []byte(".html")); ok {
		return page
	}
	for { // "." as an element counts as nothing, as in the site
		path = bytes.TrimRight(path, "/")
		start := bytes.LastIndexByte(path, '/') + 1
		if last := string(path[start:]); last != "." && !strings.EqualFold(last, "%2e") {
			return path
		}
		path = path[:start]
	}
}

// findFields finds the header fields that the site's rules add to the response. A redirection
// gets none: such rules are about what is at a path.
func (r *Reply) findFields() {
	x := r.x
	x.Fields = nil
	if x.Source == SourceChallenge || x.Moved != MovedNot || len(x.Head) == 0 {
		return
	}
	set := r.rules()
	if !set.Headers() {
		return
	}
	if path, status := r.inside(); status == proto.StatusOK && set.Fields(&r.cfg.match, r.ruled(path)) {
		x.Fields = &r.cfg.match
	}
}

// amend applies the fields of rules to a complete head, and keeps shared caches from storing
// protected responses.
func (r *Reply) amend(out []byte) []byte {
	x := r.x
	if x.Fields != nil {
		out = r.amendByRules(out)
	}
	switch {
	case x.Status == proto.StatusUnauthorized:
		out = r.notForCDNs(out)
	case x.access.Used != 0:
		out = r.private(out)
	}
	return out
}

func (r *Reply) amendByRules(out []byte) []byte {
	x := r.x
	about := rules.Other
	switch {
	case x.Source != SourceFile:
	case x.Status == proto.StatusNotModified:
		about = rules.Unchanged
	case x.parts != nil:
		about = rules.Parts
	default:
		about = rules.File
	}
	out = x.Fields.Amend(out, x.head, about)
	x.Fields = nil // its memory is reused for the next response
	return out
}
