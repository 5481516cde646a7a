package serve

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Client is the address of a connected socket's other end; an IPv4 client of an
// IPv6 socket has its IPv4 address. It can be asked for as long as the socket is
// open, whatever has become of the client, and is not valid for what is no such
// socket.
func Client(fd int) netip.AddrPort {
	from, err := unix.Getpeername(fd)
	if err != nil {
		return lost(fd)
	}
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

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

func peerName(fd int, a []byte) syscall.Errno {
	size := uint32(len(a))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERNAME,
		uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(&size)), 0)
	return errno
}

// address writes a client's address and port, for people.
func address(client netip.AddrPort) string {
	if !client.IsValid() {
		return unknown
	}
	return client.String()
}

// host writes a client's address.
func host(client netip.AddrPort) string {
	if !client.IsValid() {
		return unknown
	}
	return client.Addr().String()
}

// unknown stands for the address of what is no client.
const unknown = "unknown"
