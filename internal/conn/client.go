package conn

import (
	"bytes"

	"phalanx/internal/clientip"
	"phalanx/internal/proto"
)

// This file finds out whose request it is, and whether it is admitted.

// attribute finds out whose request it is, and how that client has come.
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

// forwardedScheme is the field, in lower case, by which a proxy that names the client in any
// field but Forwarded says how it has come.
const forwardedScheme = "x-forwarded-proto"

// believe takes what a trusted proxy says of the client.
func (r *Reply) believe() {
	const usual = 8 // lines of a field
	var space [usual][]byte
	x, trust := r.x, r.cfg.Trust
	var scheme clientip.Scheme
	x.Client, scheme = trust.Client(x.Client, proto.AppendValues(space[:0], x.Head, trust.Field))
	if trust.Field != clientip.FieldForwarded {
		// The first proxy knows; those behind it append what they were asked by.
		if lines := proto.AppendValues(space[:0], x.Head, forwardedScheme); len(lines) > 0 {
			first, _, _ := bytes.Cut(lines[0], []byte(","))
			scheme = clientip.ParseScheme(bytes.TrimSpace(first))
		}
	}
	if scheme != clientip.SchemeUnknown {
		x.Secure = scheme == clientip.SchemeHTTPS
	}
}

// admitted reports whether the client's request is answered.
func (r *Reply) admitted() bool {
	ok, _ := r.cfg.Access.Admits(r.x.Client)
	r.x.Denied = !ok
	return ok
}
