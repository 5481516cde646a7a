package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/systest"
)

// New connections are dropped on every socket of the set. One that is waiting for its
// request is served when the request arrives.
func TestRefuseNew(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		if host == "::1" && !systest.HasIPv6() {
			t.Logf("this machine has no IPv6")
			continue
		}
		s := mustOpen(t, Address{Host: host, Short: true}, 3)
		address := net.JoinHostPort(host, strconv.Itoa(s.Port))
		early, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer early.Close()
		waiting := dial(t, host, s.Port)
		if refusing(s, 3) != 0 {
			t.Errorf("%s: refusing before RefuseNew", host)
		}
		if err := s.RefuseNew(); err != nil {
			t.Fatal(err)
		}
		if refusing(s, 3) != 3 {
			t.Errorf("%s: %d sockets of 3 are refusing", host, refusing(s, 3))
		}
		for range 8 { // whichever socket each would go to
			late, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
			if err == nil {
				late.Close()
				t.Fatalf("%s: a new connection is accepted", host)
			}
			if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
				t.Errorf("%s: a new connection: %v, want a timeout", host, err)
			}
		}
		if _, err := early.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			fd := acceptAny(t, s)
			unix.Write(fd, []byte("y"))
			unix.Read(fd, make([]byte, 1)) // closing with it unread would be a reset
			unix.Close(fd)
		}
		for name, c := range map[string]net.Conn{"deferred": early, "queued": waiting} {
			if got, err := io.ReadAll(c); err != nil || string(got) != "y" {
				t.Errorf("%s: the %s connection: %q, %v", host, name, got, err)
			}
		}
	}
}

// A compromised worker cannot leave its successor a socket that refuses connections.
func TestRefusingWorker(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 2)
	fd := int(s.Set.Sockets(1)[0].File.Fd())
	if err := RefuseNew(fd); err != nil || !Refusing(fd) {
		t.Fatalf("refusing is %v, error %v", Refusing(fd), err)
	}
	if s.Set.Sockets(0); !Refusing(fd) {
		t.Error("the worker of another slot has changed the filter")
	}
	if s.Set.Sockets(1); Refusing(fd) {
		t.Error("the next worker's socket refuses connections")
	}
	if err := s.RefuseNew(); err != nil {
		t.Fatal(err)
	}
	if s.Set.Sockets(1); !Refusing(fd) {
		t.Error("the socket does not refuse although all do")
	}
}

// An accepted connection inherits the filter, which must admit all of its segments, large
// ones too.
func TestRefuseNewKeepsData(t *testing.T) {
	const size = 8 << 20
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 1)
	l := worker(t, s, 0)
	c := dial(t, "127.0.0.1", s.Port)
	if err := s.RefuseNew(); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	go func() {
		c.Write(make([]byte, size-1))
		c.Close()
	}()
	if n, err := io.Copy(io.Discard, accepted); n != size || err != nil {
		t.Errorf("%d bytes arrived, %v, want %d", n, err, size)
	}
}

func TestRefuseNewErrors(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := RefuseNew(int(f.Fd())); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("RefuseNew of a file: %v", err)
	}
}

// refusing counts the sockets of the set that refuse connections.
func refusing(s one, slots int) (n int) {
	for slot := range slots {
		raw, err := s.files[slot].SyscallConn()
		if err == nil {
			raw.Control(func(fd uintptr) {
				if Refusing(int(fd)) {
					n++
				}
			})
		}
	}
	return n
}
