package eventloop

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
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
	at, ok := localAddress(fd)
	if !ok {
		return false
	}
	secure := false
	for _, from := range l.listeners {
		where, ok := localAddress(from.FD)
		switch {
		case !ok || where.Port() != at.Port():
		case where == at:
			return from.Secure
		case where.Addr().IsUnspecified():
			secure = from.Secure
		}
	}
	return secure
}

// localAddress returns the local address of a TCP socket; false if it has none.
func localAddress(fd int) (at netip.AddrPort, ok bool) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return at, false
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), true
	}
	return at, false
}
