package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/systest"
)

// one is a set with a single address.
type one struct {
	*Set
	*sockets
}

// try opens sockets at an address.
func try(a Address, slots int) (one, error) {
	s, err := Open(Config{Addresses: []Address{a}, Slots: slots})
	if err != nil {
		return one{}, err
	}
	return one{s, s.all[0]}, nil
}

func mustOpen(t *testing.T, a Address, slots int) one {
	t.Helper()
	s, err := try(a, slots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// worker returns a slot's listener as its process would create it.
func worker(t *testing.T, s one, slot int) net.Listener {
	t.Helper()
	l, err := net.FileListener(s.files[slot])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects and sends a byte, because a connection without data is not accepted
// (TCP_DEFER_ACCEPT).
func dial(t *testing.T, host string, port int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	return c
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 1)
	s.Close()
	return s.Port
}

func TestEverySlotIsReached(t *testing.T) {
	const slots, clients = 4, 200
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, slots)
	accepted := make(chan int) // the slot of each connection
	for slot := range slots {
		l := worker(t, s, slot)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
				accepted <- slot
			}
		}()
	}
	var got [slots]int
	for range clients {
		dial(t, "127.0.0.1", s.Port)
		got[<-accepted]++
	}
	for slot, n := range got {
		if n == 0 {
			t.Errorf("slot %d got no connection: %v", slot, got)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	s := mustOpen(t, Address{Short: true}, 3)
	for _, bind := range []string{"", "127.0.0.1"} {
		other, err := try(Address{Host: bind, Port: s.Port, Short: true}, 2)
		if err == nil {
			other.Close()
			t.Fatalf("a second server joined with --bind %q", bind)
		}
		want := "--port " + strconv.Itoa(s.Port) + ": already in use by " + self(t) + "; stop it or choose another port"
		if exitcode.Code(err) != exitcode.Failure || err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
}

func TestOneOfManyWins(t *testing.T) {
	for range 5 {
		port := freePort(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []one
		for range 20 {
			wg.Go(func() {
				s, err := try(Address{Host: "127.0.0.1", Port: port, Short: true}, 3)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, s)
				} else if !errors.Is(err, unix.EADDRINUSE) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d servers share the port", len(won))
		}
		for _, s := range won {
			s.Close()
		}
	}
}

func TestAgainAfterClose(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 2)
	l := worker(t, s, 0)
	c := dial(t, "127.0.0.1", s.Port)
	s.Close()
	l.Close()
	c.Close()
	mustOpen(t, Address{Host: "127.0.0.1", Port: s.Port, Short: true}, 2)
}

// Connections in a dead worker's accept queue are there for the next worker.
func TestQueueOutlivesWorker(t *testing.T) {
	const clients = 20
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 1)
	worker(t, s, 0).Close()
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = dial(t, "127.0.0.1", s.Port)
	}
	worker(t, s, 0).Close()
	l := worker(t, s, 0)
	for range conns {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "y")
		c.Close()
	}
	for i, c := range conns {
		if got, err := io.ReadAll(io.LimitReader(c, 1)); err != nil || string(got) != "y" {
			t.Errorf("client %d: %q, %v", i, got, err)
		}
	}
}

func TestAcceptedSocketInherits(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 2)
	for slot := range 2 {
		for _, o := range inherited() {
			got, err := unix.GetsockoptInt(int(s.files[slot].Fd()), o.level, o.name)
			if err != nil || got < o.value {
				t.Errorf("slot %d: option %d is %d, %v, want %d", slot, o.name, got, err, o.value)
			}
		}
	}
	dial(t, "127.0.0.1", s.Port)
	fd := acceptAny(t, s)
	defer unix.Close(fd)
	for _, o := range inherited() {
		if o.name == unix.TCP_DEFER_ACCEPT {
			continue // of listening sockets only
		}
		if got, err := unix.GetsockoptInt(fd, o.level, o.name); err != nil || got != o.value {
			t.Errorf("accepted socket: option %d is %d, %v, want %d", o.name, got, err, o.value)
		}
	}
}

// acceptAny accepts one connection from any slot.
func acceptAny(t *testing.T, s one) int {
	t.Helper()
	var fds []unix.PollFd
	for _, f := range s.files {
		fds = append(fds, unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLIN})
	}
	if n, err := poll(fds); n == 0 || err != nil {
		t.Fatalf("poll: %d, %v", n, err)
	}
	for _, p := range fds {
		if p.Revents != 0 {
			fd, _, err := unix.Accept4(int(p.Fd), unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatal("nothing to accept")
	return -1
}

// poll waits for one of the descriptors. A signal does not end the wait: the runtime sends some.
func poll(fds []unix.PollFd) (n int, err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = unix.Poll(fds, 20_000)
	}
	return n, err
}

func TestFiles(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 2)
	for slot := range 2 {
		f := s.files[slot]
		status, err1 := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		flags, err2 := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		proto, err3 := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if status&unix.O_NONBLOCK == 0 || flags&unix.FD_CLOEXEC == 0 || proto != unix.IPPROTO_TCP {
			t.Errorf("slot %d: status %#x, flags %#x, protocol %d", slot, status, flags, proto)
		}
		// Only a file outside the poller has no deadline.
		if err := f.SetDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("slot %d is in the poller: %v", slot, err)
		}
	}
}

func TestEveryAddress(t *testing.T) {
	s := mustOpen(t, Address{Short: true}, 1)
	l := worker(t, s, 0)
	for _, host := range []string{"127.0.0.1", "::1"} {
		if host == "::1" && !systest.HasIPv6() {
			t.Skip("this machine has no IPv6")
		}
		c := dial(t, host, s.Port)
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("%s: accepted %v, want %v", host, got.RemoteAddr(), c.LocalAddr())
		}
		got.Close()
	}
}

func TestBind(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.2", Short: true}, 2)
	// A dial to another address could reach another process with the same port.
	for slot := range 2 {
		if got := worker(t, s, slot).Addr().(*net.TCPAddr); got.IP.String() != "127.0.0.2" || got.Port != s.Port {
			t.Errorf("slot %d listens at %v, want 127.0.0.2 alone", slot, got)
		}
	}
	mustOpen(t, Address{Host: "127.0.0.3", Port: s.Port, Short: true}, 2)
	for bind, want := range map[string]string{
		"::1%none":  "--bind ::1%none: no interface none on this machine",
		"::1%77777": "--bind ::1%77777: no interface 77777",
		"192.0.2.1": "--bind 192.0.2.1: not an address of this machine",
	} {
		_, err := try(Address{Host: bind, Short: true}, 1)
		if exitcode.Code(err) != exitcode.Config || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("--bind %s: %v", bind, err)
		}
	}
}

// Package net gets the index of an interface, whose name it would look up by netlink: the systemd unit forbids that.
func TestInterfaceByIndex(t *testing.T) {
	for _, zone := range []string{"lo", "1"} {
		if _, host, err := resolve(Address{Host: "fe80::1%" + zone}); host != "fe80::1%1" || err != nil {
			t.Errorf("%s is resolved to host %q, error %v; want fe80::1%%1", zone, host, err)
		}
	}
}

func TestPrivilegedPort(t *testing.T) {
	err := explain(Address{Port: 80, Short: true}, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", unix.EACCES)})
	if exitcode.Code(err) != exitcode.Config || !strings.HasPrefix(err.Error(), "--port 80: permission denied") {
		t.Errorf("got %v", err)
	}
}

func TestNothingLeftOpen(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 1).Close() // the poller's own
	before := count()
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 8)
	if _, err := try(Address{Host: "127.0.0.1", Port: s.Port, Short: true}, 8); err == nil {
		t.Error("opened twice")
	}
	s.Close()
	if after := count(); after > before {
		t.Errorf("%[2]d descriptors, want %[1]d as before", before, after)
	}
}
