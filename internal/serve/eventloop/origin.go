package eventloop

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A worker that is killed right after it has accepted a connection leaves no record of it,
// which is what the record of a new connection in the clear looks like. This file finds
// out where such a connection was accepted.

// beginNascent begins the TLS of rescued connections that had none yet. The first
// credentials come as an order, after they have been rescued.
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

// isSecure reports whether a connection came to an address for TLS: to the socket of just
// that address, or else to one of all addresses with that port, as the kernel has it.
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

// localAddress is that of a TCP socket.
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
