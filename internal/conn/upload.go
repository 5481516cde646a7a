package conn

import "phalanx/internal/proto"

// upload is a request body being discarded. It is allocated only when needed, to keep
// connections small: requests for files rarely have a body.
type upload struct {
	body proto.Discarder
	left int64 // bytes left of a body with Content-Length
}

// The faults of requests that are understood.
var (
	Late    = proto.Fault{Status: proto.StatusRequestTimeout, Reason: "the request was not complete in time", Rule: "RFC 9110 §15.5.9"}
	inClear = proto.Fault{Status: proto.StatusBadRequest, Reason: "plain HTTP on a port for HTTPS", Rule: "RFC 9110 §4.2.2"}
	TooLong = proto.Fault{Status: proto.StatusContentTooLarge, Reason: "the request's body is too long", Rule: "RFC 9110 §15.5.14"}
)

// discard discards the request's body, and answers the request when it is complete.
func (c *Conn) discard(out []byte, now Now) (_ []byte, more bool) {
	x := c.reply.x
	u := x.upload
	if x.Request.Chunked {
		n, done, fault := u.body.Discard(c.in)
		c.in = c.in[n:]
		c.read(int64(n), now)
		if fault.Status != 0 {
			return c.refuse(out, fault, now), false
		}
		if !done {
			return out, true
		}
	} else {
		n := min(u.left, int64(len(c.in)))
		c.in, u.left = c.in[n:], u.left-n
		c.read(n, now)
		if u.left > 0 {
			return out, true
		}
	}
	x.upload = nil
	return c.answer(out, now), false
}
