package serve

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/clientip"
)

// NamesClients reports whether accept(2) must return the address of each client. Otherwise
// [Peer] is called where an address is needed.
func (cfg *Config) NamesClients() bool {
	return cfg.MaxPerClient > 0 || cfg.Conn.Passwords != nil || cfg.Verbose || cfg.Access != nil || cfg.Proxied != nil ||
		cfg.Conn.Trust != nil || cfg.Conn.Access != nil
}

// Peer returns the address of a connected socket's peer. It works as long as the socket is
// open, even if the client has reset the connection.
func Peer(fd int) clientip.Addr {
	from, err := unix.Getpeername(fd)
	if err != nil {
		return lost(fd)
	}
	return PeerOf(from)
}

// PeerOf converts an address from the kernel.
func PeerOf(from unix.Sockaddr) clientip.Addr {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)))
	case *unix.SockaddrInet6:
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)))
	case *unix.SockaddrUnix:
		return clientip.Unix()
	}
	return clientip.Addr{}
}

// RawPeer converts a raw address from accept(2).
func RawPeer(from *unix.RawSockaddrAny) clientip.Addr {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(a.Port)))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), hostOrder(a.Port)))
	}
	return clientip.Addr{}
}

// hostOrder converts a port from network byte order.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// Local reports whether a connection comes through a unix socket.
func Local(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX
}

// LocalAddress returns the local address of a listening socket or connection; the zero value if
// it is not known.
func LocalAddress(fd int) clientip.Addr {
	at, _ := unix.Getsockname(fd) // nil on errors
	return PeerOf(at)
}

// Port returns the local TCP port of a listening socket or connection; 0 for a unix socket.
func Port(fd int) int { return int(LocalAddress(fd).Port()) }

// lost returns the address of a client that has reset its connection. getpeername(2) fails
// then; SO_PEERNAME still works, but only with the exact length of the address.
func lost(fd int) clientip.Addr {
	var a [unix.SizeofSockaddrInet6]byte // family, port; then: address, or flow label, address
	family := func() uint16 { return binary.NativeEndian.Uint16(a[:]) }
	port := func() uint16 { return binary.BigEndian.Uint16(a[2:]) }
	if peerName(fd, a[:]) == 0 && family() == unix.AF_INET6 {
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[8:24])), port()))
	}
	if peerName(fd, a[:unix.SizeofSockaddrInet4]) == 0 && family() == unix.AF_INET {
		return clientip.From(netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), port()))
	}
	return clientip.Addr{}
}

func peerName(fd int, a []byte) syscall.Errno {
	size := uint32(len(a))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERNAME,
		uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(&size)), 0)
	return errno
}
