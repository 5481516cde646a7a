package serve

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Client returns the address of a connected socket's other end, for people: without its
// port, and with it. An IPv4 client of an IPv6 socket has its IPv4 address, and one of
// a unix socket is "unix:". It can be asked for as long as the socket is open, whatever
// has become of the client, and is "unknown" for what is no such socket.
func Client(fd int) (host, address string) {
	from, err := unix.Getpeername(fd)
	var client netip.AddrPort
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		client = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		client = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	case *unix.SockaddrUnix:
		return local, local
	default:
		if err != nil {
			client = lost(fd)
		}
	}
	if !client.IsValid() {
		return unknown, unknown
	}
	return client.Addr().String(), client.String()
}

// Local reports whether a connection comes through a unix socket.
func Local(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX
}

// local stands for the address of a unix socket's client: it has none.
const local = "unix:"

// unknown stands for the address of what is no client.
const unknown = "unknown"

// lost returns the address of a client that has reset its connection. getpeername(2)
// fails then; SO_PEERNAME still returns it, as accept(2) would have, but has to be
// given the length of the address.
func lost(fd int) netip.AddrPort {
	var a [unix.SizeofSockaddrInet6]byte // family, port; then: address, or flow label, address
	family := func() uint16 { return binary.NativeEndian.Uint16(a[:]) }
	port := func() uint16 { return binary.BigEndian.Uint16(a[2:]) }
	if peerName(fd, a[:]) == 0 && family() == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[8:24])).Unmap(), port())
	}
	if peerName(fd, a[:unix.SizeofSockaddrInet4]) == 0 && family() == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), port())
	}
	return netip.AddrPort{}
}

// rawNetwork returns the network of an address that the kernel has stored.
func rawNetwork(a *unix.RawSockaddrAny) network {
	switch a.Addr.Family {
	case unix.AF_INET:
		return networkOf(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr))
	case unix.AF_INET6:
		return networkOf(netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(a)).Addr))
	}
	return 0
}

func peerName(fd int, a []byte) syscall.Errno {
	size := uint32(len(a))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERNAME,
		uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(&size)), 0)
	return errno
}
