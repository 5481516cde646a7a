package conn

import (
	"bytes"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
)

// This file finds out which client sent a request, and whether that client is served.

// attribute finds out which client sent the request, and over which scheme.
func (r *Reply) attribute() {
	x := r.x
	if x.Secure = r.secure; r.client == nil {
		return
	}
	x.Client = *r.client
	if len(x.Head) > 0 && r.cfg.Trust.Trusts(x.Client) {
		r.believe()
	}
}

// FromProxy reports whether the client is a proxy whose connections carry the requests of many
// clients: a trusted one, or one that uses a unix socket.
func (c *Conn) FromProxy() bool {
	client := c.reply.client
	if client == nil {
		return c.reply.local
	}
	return *client == clientip.Unix() || c.reply.cfg.Trust.Trusts(*client)
}

// forwardedScheme is the field, in lower case, with the scheme of the client's request, from
// proxies that name the client in a field other than Forwarded.
const forwardedScheme = "x-forwarded-proto"

// believe applies what a trusted proxy says about the client.
func (r *Reply) believe() {
	const usual = 8 // lines of a field
	var space [usual][]byte
	x, trust := r.x, r.cfg.Trust
	var scheme clientip.Scheme
	x.Client, scheme = trust.Client(x.Client, proto.AppendValues(space[:0], x.Head, trust.Field))
	if trust.Field != clientip.FieldForwarded {
		// The first proxy knows the client's scheme; later ones append their own.
		if lines := proto.AppendValues(space[:0], x.Head, forwardedScheme); len(lines) > 0 {
			first, _, _ := bytes.Cut(lines[0], []byte(","))
			scheme = clientip.ParseScheme(bytes.TrimSpace(first))
		}
	}
	if scheme != clientip.SchemeUnknown {
		x.Secure = scheme == clientip.SchemeHTTPS
	}
}

// admitted reports whether Config.Access lets the client be served.
func (r *Reply) admitted() bool {
	ok, _ := r.cfg.Access.Admits(r.x.Client)
	r.x.Denied = !ok
	return ok
}
