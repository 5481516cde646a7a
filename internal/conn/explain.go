package conn

import (
	"fmt"

	"phalanx/internal/proto"
)

// This file is what a connection says of its decisions to Config.Explain, and
// to nobody else: each text is made only when somebody wants to hear it.

func (c *Conn) explain(what, why string) {
	if c.cfg.Explain != nil {
		c.cfg.Explain(what, why)
	}
}

const preflight = "--cors, and the request has an Origin: it asks before a script's request (Fetch standard, §3.3)"

func (c *Conn) explainHead(r *proto.Request, head []byte) {
	c.explain("request", fmt.Sprintf("a well-formed head of %d bytes: %s by HTTP/1.%d", len(head), string(r.MethodName.In(head)), r.Minor))
	switch r.Method {
	case proto.MethodGet, proto.MethodHead:
	case proto.MethodOptions:
		c.explain("method", "OPTIONS says what may be asked (RFC 9110 §9.3.7)")
	case proto.MethodUnknown:
		c.explain("method", "it is not known; methods are case-sensitive (RFC 9110 §9.1)")
	default:
		c.explain("method", "it is known and not served: "+proto.Allow+" are")
	}
}

// whyClosing is about a connection that its first reply ends.
func (c *Conn) whyClosing(r *proto.Request) string {
	switch {
	case c.cfg.Single:
		return "--model serial closes after each reply"
	case r.Minor == 0:
		return "HTTP/1.0 without Connection: keep-alive (RFC 9112 §9.3)"
	}
	return "the client asked for it (RFC 9112 §9.6)"
}

func (c *Conn) explainCodings(r *proto.Request, codings proto.Codings) {
	why := ""
	switch {
	case !r.Has(proto.FieldAcceptEncoding):
		why = "the client names none that it takes: without Accept-Encoding it gets the file as it is"
	case len(codings.List()) == 0:
		why = "the client takes none of br, zstd and gzip rather than the file as it is"
	default:
		for _, coding := range codings.List() {
			why += ", " + coding.Token()
		}
		why = "the client takes, best first: " + why[2:]
	}
	c.explain("coding", why)
}

// explainStart says where the fields come from that every reply has.
func (c *Conn) explainStart(r *proto.Request, s proto.Status) {
	c.explain("status", statusWhy(s))
	c.explain("Server:", "this program and its version")
	c.explain("Date:", "the time of the reply (RFC 9110 §6.6.1)")
	if !c.cfg.sets(noSniff) {
		c.explain("X-Content-Type-Options:", "always, unless --header has another: a browser is not to guess the type")
	}
	for _, field := range c.cfg.Header {
		c.explain(fieldName(field)+":", "--header")
	}
	if c.cfg.CORS {
		c.explain("Access-Control-Allow-Origin:", "--cors: the scripts of every site may read it")
		c.explain("Access-Control-Expose-Headers:", "--cors: and these fields of it")
	}
	if w := c.record; w != nil && c.cfg.ID != nil {
		why := "made for this request"
		if len(w.ID) > 0 {
			why = "the request's own"
		}
		c.explain("X-Request-Id:", why)
	}
	if !c.closing && r.Minor == 0 {
		c.explain("Connection:", "HTTP/1.0, and the client asked for it (RFC 9112 §9.3)")
	}
}

func statusWhy(s proto.Status) string {
	switch s {
	case proto.StatusOK:
		return "what was asked for is there (RFC 9110 §15.3.1)"
	case proto.StatusNoContent:
		return "there is nothing to send but the head (RFC 9110 §15.3.5)"
	case proto.StatusPartialContent:
		return "the part of the file that Range asks for (RFC 9110 §15.3.7)"
	case proto.StatusMovedPermanently:
		return "what was asked for is a directory, whose path ends with a slash (RFC 9110 §15.4.2)"
	case proto.StatusNotModified:
		return "what the client has is still right (RFC 9110 §15.4.5)"
	case proto.StatusBadRequest:
		return "the request is malformed (RFC 9110 §15.5.1)"
	case proto.StatusForbidden:
		return "it is there, or would be, and is not shown (RFC 9110 §15.5.4)"
	case proto.StatusNotFound:
		return "there is no such file, or it is not to be known (RFC 9110 §15.5.5)"
	case proto.StatusMethodNotAllowed:
		return "the method is not served (RFC 9110 §15.5.6)"
	case proto.StatusRequestTimeout:
		return "the request was not complete in time (RFC 9110 §15.5.9)"
	case proto.StatusPreconditionFailed:
		return "a precondition is false (RFC 9110 §15.5.13)"
	case proto.StatusContentTooLarge:
		return "the request's body is longer than is read away (RFC 9110 §15.5.14)"
	case proto.StatusURITooLong:
		return "the request line is longer than is read (RFC 9110 §15.5.15)"
	case proto.StatusRangeNotSatisfiable:
		return "no range lies within the file (RFC 9110 §15.5.17)"
	case proto.StatusExpectationFailed:
		return "what the client expects is not done here (RFC 9110 §15.5.18)"
	case proto.StatusHeaderFieldsTooLarge:
		return "the head is longer, or has more fields, than is read (RFC 6585 §5)"
	case proto.StatusInternalServerError:
		return "the file system failed (RFC 9110 §15.6.1)"
	case proto.StatusNotImplemented:
		return "the method is not known (RFC 9110 §15.6.2)"
	case proto.StatusServiceUnavailable:
		return "descriptors or memory are used up (RFC 9110 §15.6.4)"
	}
	return "the version is not HTTP/1.x (RFC 9110 §15.6.6)"
}

// explainPage is about an error or a redirection; of says whether there is a
// file that was asked for.
func (c *Conn) explainPage(s proto.Status, of bool, length string) {
	if of {
		c.explain("Last-Modified:", "when the file that was asked for was changed (RFC 9110 §8.8.2)")
	} else {
		c.explain("Last-Modified:", "the time of the reply, to which the page belongs")
	}
	c.explain("Expires:", "now: it is stale at once, for the next answer may be another (RFC 9111 §4.2)")
	c.explain("Content-Length:", length)
	switch s {
	case proto.StatusMethodNotAllowed:
		c.explain("Allow:", "the methods that are served (RFC 9110 §15.5.6)")
	case proto.StatusRangeNotSatisfiable:
		c.explain("Content-Range:", "the file's size, so that the client can ask for less (RFC 9110 §15.5.17)")
	case proto.StatusServiceUnavailable:
		c.explain("Retry-After:", "in a second there may be descriptors again")
	}
}

func (c *Conn) explainList(json bool) {
	kind := "a page, for the client does not prefer JSON by Accept or ?format=json"
	if json {
		kind = "JSON, by ?format=json or because Accept prefers it"
	}
	c.explain("listing", "the directory has no index and --list is given")
	c.explain("Content-Type:", kind)
	c.explain("Last-Modified:", "the list is made now")
	c.explain("Expires:", "now: a list is stale at once")
	c.explain("Cache-Control:", "a list is to be asked for each time")
	c.explain("Vary:", "a list may also be JSON, by Accept")
	c.explain("Transfer-Encoding:", "the list is made while it is sent, its length is not known (RFC 9112 §7.1)")
}
