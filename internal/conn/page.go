package conn

import (
	"strconv"

	"phalanx/internal/proto"
	"phalanx/internal/theme"
)

// fail answers with an error: the site's own page for it, or the built-in page.
func (r *Reply) fail(out []byte, s proto.Status, now Now) []byte {
	if s == proto.StatusUnauthorized {
		return r.demand(out, now)
	}
	if s == proto.StatusForbidden || s == proto.StatusNotFound || s == proto.StatusInternalServerError || s == proto.StatusServiceUnavailable {
		if f, ok := r.ownPage(s); ok {
			return r.sitePage(out, s, f, now)
		}
	}
	return r.page(out, s, nil, now)
}

// ownPage finds the site's own page for an error. There is none without a site, or if the path
// lacks the prefix.
func (r *Reply) ownPage(s proto.Status) (File, bool) {
	if _, status := r.inside(); status == proto.StatusNotFound || r.x.site == nil {
		return nil, false
	}
	return r.x.site.Page(s, &r.x.access)
}

// sitePage answers with the site's own page for an error.
func (r *Reply) sitePage(out []byte, s proto.Status, f File, now Now) []byte {
	r.drop()
	r.segment.File = f
	out = r.start(out, s, SourceSitePage, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = r.appendDenied(out, s)
	out = proto.AppendField(out, "Content-Type", f.ContentType())
	out = proto.AppendInt(out, "Content-Length: ", f.Size())
	if r.x.Request.Method != proto.MethodHead {
		r.segment.Len = f.Size()
	}
	return r.end(out)
}

// page answers with the built-in page: an error, or a redirection to the location.
func (r *Reply) page(out []byte, s proto.Status, location []byte, now Now) []byte {
	out = r.start(out, s, SourcePage, now)
	if f := r.segment.File; f != nil {
		// The error is about an existing file, which Last-Modified describes
		// (RFC 9110 §8.8.2).
		out = appendModified(out, r.entity(f, now))
	} else {
		out = append(out, now.Second.born...)
	}
	out = append(out, now.Second.stale...)
	if r.x.Moved != MovedNot {
		out = append(append(append(out, "Location: "...), location...), "\r\n"...)
	}
	out = r.appendDenied(out, s)
	switch s {
	case proto.StatusMethodNotAllowed:
		out = proto.AppendField(out, "Allow", proto.Allow)
	case proto.StatusRangeNotSatisfiable:
		out = proto.AppendInt(out, "Content-Range: bytes */", r.segment.File.Size())
	}
	r.drop()
	var space [1024]byte
	text := advice(s)
	if r.x.Fault == inClear {
		text = "This port is for HTTPS: the address begins with https://."
	}
	body := appendPage(space[:0], s, text)
	out = append(append(out, now.Second.policy...), "Content-Type: text/html; charset=utf-8\r\n"...)
	out = r.end(proto.AppendInt(out, "Content-Length: ", int64(len(body))))
	if r.x.Request.Method != proto.MethodHead {
		out = append(out, body...)
		r.x.Bytes += int64(len(body))
	}
	return out
}

func appendPage(dst []byte, s proto.Status, text string) []byte {
	dst = appendTitle(append(dst, theme.Head...), s)
	dst = append(dst, "</title>\n<style>"+theme.ErrorStyle+"</style>\n<main><h1>"...)
	dst = append(appendTitle(dst, s), "</h1>"...)
	if text != "" {
		dst = append(append(append(dst, "<p>"...), text...), "</p>"...)
	}
	return append(dst, "</main>\n"...)
}

// advice returns what the reader of an error page can do; "" if nothing.
func advice(s proto.Status) string {
	switch s {
	case proto.StatusMovedPermanently, proto.StatusFound, proto.StatusSeeOther, proto.StatusTemporaryRedirect, proto.StatusPermanentRedirect:
		return "This page has another address."
	case proto.StatusUnauthorized:
		return "Reload the page, and enter the user name and password that you were given."
	case proto.StatusForbidden:
		return "There is no page to show at this address."
	case proto.StatusNotFound:
		return "There is nothing at this address. Check its spelling."
	case proto.StatusGone:
		return "The page that was at this address has been removed."
	case proto.StatusRequestTimeout:
		return "The request took too long to arrive. Try again."
	case proto.StatusMisdirectedRequest:
		return "There is no website of this name here. Check the address."
	case proto.StatusTooManyRequests:
		return "The password was wrong too often. Try again in a minute."
	case proto.StatusInternalServerError:
		return "This is a fault of the server. Try again later."
	case proto.StatusServiceUnavailable:
		return "The server is busy. Try again in a moment."
	}
	return ""
}

func appendTitle(dst []byte, s proto.Status) []byte {
	dst = strconv.AppendUint(dst, uint64(s), 10)
	return append(append(dst, ' '), s.Reason()...)
}
