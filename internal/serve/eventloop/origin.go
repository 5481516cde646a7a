package eventloop

import (
	"slices"

	"phalanx/internal/serve"
)

// A worker that is killed right after it has accepted a connection leaves an empty record,
// which looks like that of a new connection without TLS. This file finds out at which
// address such a connection was accepted.

// beginNascent begins TLS on rescued connections for which it had not begun. The first
// credentials come as an order, after the rescue.
func (l *Loop) beginNascent() {
	for _, p := range l.nascent {
		if p.gone {
			continue
		}
		if p.header == headerNone {
			l.encrypt(p)
			l.begin(p)
		}
		l.serve(p)
	}
	l.nascent = nil
}

// isSecure reports whether a connection was accepted at a TLS address. As in the kernel, the
// socket of exactly its local address counts, or else the socket of all addresses with its
// port.
func (l *Loop) isSecure(fd int) bool {
	if !slices.ContainsFunc(l.listeners, func(from listener) bool { return from.Secure }) {
		return false
	}
	at, secure := serve.LocalAddress(fd), false
	if at.Port() == 0 {
		return false // a unix socket
	}
	for _, from := range l.listeners {
		where := serve.LocalAddress(from.FD)
		switch {
		case where.Port() != at.Port():
		case where == at:
			return from.Secure
		case where.IP().IsUnspecified():
			secure = from.Secure
		}
	}
	return secure
}
