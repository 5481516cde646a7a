package harness

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// MustBeFree fails the test if another program could not listen on the port.
func MustBeFree(t *testing.T, port int) {
	t.Helper()
	if err := Bindable(Loopback(port)); err != nil {
		t.Errorf("the port is not free again: %v", err)
	}
}

// Bindable returns why another program could not listen on a TCP address. No other test may fork
// meanwhile: its child would keep the listener open until it has executed its program, and this test
// would go on before that.
func Bindable(addr string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// Reserve reports whether a TCP port is free. If so, a UDP socket on it keeps it from other tests
// until the test ends.
func Reserve(t *testing.T, port int) bool {
	t.Helper()
	mine, err := net.ListenPacket("udp", ":"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { mine.Close() })
	return Bindable(":"+strconv.Itoa(port)) == nil
}

// FreePort reserves a free port from 12000 to 31999. That is below the range of
// ephemeral ports, so no client connection can take it before the master does.
func FreePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		if port := 12000 + rand.IntN(20000); Reserve(t, port) {
			return port
		}
	}
	t.Fatal("no free port between 12000 and 32000")
	return 0
}

// Refused reports whether the port refuses connections. A closing listener may
// drop a SYN; the timeout leaves time for its retransmission after a second.
func Refused(port int) bool {
	c, err := net.DialTimeout("tcp", Loopback(port), 3*time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Loopback returns the address of a port on 127.0.0.1.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Listening returns a listening socket, to be passed to a server as systemd does, and its address
// as --listen has it. where is the address of a TCP socket or the path of a unix socket.
func Listening(t *testing.T, where string) (*os.File, string) {
	t.Helper()
	if strings.Contains(where, "/") {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: where, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f, "unix:" + where
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", where)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, "http://" + l.Addr().String()
}
