package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/serve"
)

// listening returns a listening socket, and its descriptor.
func listening(t *testing.T) (net.Listener, int) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return l, int(file.Fd())
}

// accept returns the descriptor of a new connection.
func accept(t *testing.T, l net.Listener) (fd int) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	file, err := accepted.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return int(file.Fd())
}

// The connections of a listening socket inherit the limit on unsent bytes, and a worker without one
// removes that of another.
func TestBoundUnsent(t *testing.T) {
	l, fd := listening(t)
	for _, most := range []int{256 << 10, 0} {
		if err := boundUnsent(serve.Listener{FD: fd}, most); err != nil {
			t.Fatal(err)
		}
		if got, err := unix.GetsockoptInt(accept(t, l), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); got != most || err != nil {
			t.Errorf("%d, want %d: %v", got, most, err)
		}
	}
}

// A compromised worker cannot make later ones wait when they close connections (SO_LINGER).
func TestUnlinger(t *testing.T) {
	l, fd := listening(t)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600}); err != nil {
		t.Fatal(err)
	}
	if err := unlinger(serve.Listener{FD: fd}); err != nil {
		t.Fatal(err)
	}
	if on, err := unix.GetsockoptInt(accept(t, l), unix.SOL_SOCKET, unix.SO_LINGER); on != 0 || err != nil {
		t.Errorf("%d, %v", on, err)
	}
}
