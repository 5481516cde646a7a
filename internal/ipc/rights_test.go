package ipc

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (server, client int) {
	t.Helper()
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	listener, client := socket(), socket()
	defer unix.Close(listener)
	t.Cleanup(func() { unix.Close(client) })
	err := errors.Join(unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(listener, 1))
	address, named := unix.Getsockname(listener)
	if err := errors.Join(err, named); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(client, address); err != nil {
		t.Fatal(err)
	}
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// lingering returns a connection whose last close waits for half a minute, because its client
// does not read.
func lingering(t *testing.T) int {
	t.Helper()
	server, _ := connected(t)
	for err := error(nil); err != unix.EAGAIN; _, err = unix.Write(server, make([]byte, 1<<16)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 30}); err != nil {
		t.Fatal(err)
	}
	return server
}

// sendLingering sends a message with the given number of descriptors, the last of which is a
// lingering connection that no other process has open.
func sendLingering(t *testing.T, socket int, p []byte, descriptors int) {
	t.Helper()
	fd := lingering(t)
	fds := append(make([]int, descriptors-1), fd)
	if err := unix.Sendmsg(socket, p, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// promptly fails the test if do takes as long as the close of a lingering connection.
func promptly(t *testing.T, what string, do func()) {
	t.Helper()
	began := time.Now()
	if do(); time.Since(began) > 15*time.Second {
		t.Errorf("%s took %v", what, time.Since(began))
	}
}

// Neither Receive nor Close blocks, whatever a compromised worker sends with its messages.
func TestLingeringConnections(t *testing.T) {
	for _, c := range []struct {
		name        string
		message     []byte
		descriptors int
	}{
		{"unwanted", Encode(Alive{}), 1},
		{"invalid", []byte{0xff}, 1},
		{"empty", nil, 1},
		{"too many", Encode(Alive{}), MaxRights},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			master, end, err := Pair()
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()
			worker := int(end.Fd())
			sendLingering(t, worker, c.message, c.descriptors)
			promptly(t, "Receive", func() { _, _ = master.Receive() })
			if err := unix.Sendmsg(worker, nil, nil, nil, unix.MSG_DONTWAIT); err != nil { // not the end
				t.Fatal(err)
			}
			sendLingering(t, worker, c.message, c.descriptors)
			promptly(t, "Close", func() { master.Empty(); master.Close() })
		})
	}
}

// The error that the other side left messages unread comes before the messages that it sent.
func TestEmptyAfterReset(t *testing.T) {
	master, end, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	send(t, master, Serve{})
	sendLingering(t, int(end.Fd()), nil, 1)
	end.Close()
	promptly(t, "Close", func() { master.Empty(); master.Close() })
}

// The other end of a handover channel belongs to another worker.
func TestLingeringHandover(t *testing.T) {
	from, to, err := Handover()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(from)
	sendLingering(t, from, []byte("state"), 3)
	promptly(t, "looking", func() {
		if _, _, _, err := PeekConnection(to, make([]byte, MaxState)); err != ErrTruncated {
			t.Error(err)
		}
		NextConnection(to)
	})
	sendLingering(t, from, []byte("state"), 2)
	sendLingering(t, from, nil, 1)
	promptly(t, "Empty", func() { Empty(to); unix.Close(to) })
}

// A connection that its worker was about to reset is reset.
func TestDiscardResets(t *testing.T) {
	server, client := connected(t)
	if err := unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	Discard(server, -1)
	if n, err := unix.Read(client, make([]byte, 1)); err != unix.ECONNRESET {
		t.Errorf("%d, %v", n, err)
	}
}

// After Empty this side reads EOF, and the other side cannot send.
func TestEmptyClosesBothDirections(t *testing.T) {
	master, worker := pair(t)
	send(t, worker, Alive{})
	master.Empty()
	if m, err := master.Receive(); err != io.EOF {
		t.Errorf("received %v, %v", m, err)
	}
	if err := worker.Send(Alive{}); !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent: %v", err)
	}
}
