package listen

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/systest"
)

// passed returns the descriptor of a socket as another program would pass it.
func passed(t *testing.T, l *net.TCPListener) int {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return fd
}

// mustActivate creates a set from a socket that listens already.
func mustActivate(t *testing.T, fd, slots int) one {
	t.Helper()
	s, err := Open(Config{Addresses: []Address{{Port: 1}}, Slots: slots, Passed: []Passed{{FD: fd}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return one{s, s.all[0]}
}

// copied returns the state of a set, as another program in this process would find it.
func copied(t *testing.T, s *Set) []State {
	t.Helper()
	states := s.State()
	for i := range states {
		st := &states[i]
		for j, fd := range st.Sockets {
			dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if st.Sockets[j] = dup; fd == st.Passed {
				st.Passed = dup
			}
		}
	}
	return states
}

// A socket that listens already is the first of the set, and others are added.
func TestActivated(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		s := mustActivate(t, passed(t, l.(*net.TCPListener)), 3)
		if s.Port != port || len(s.group) != 3 {
			t.Fatalf("%s: port %d, %d sockets", address, s.Port, len(s.group))
		}
		for i, n := range arrivals(t, s, 60) {
			if n == 0 {
				t.Errorf("%s: socket %d gets no connection", address, i)
			}
		}
	}
}

// A socket for an IPv4 address in IPv6 form opens no other address: the slots share it.
func TestActivatedMapped(t *testing.T) {
	if !systest.HasIPv6() {
		t.Skip("this machine has no IPv6")
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddr("::ffff:127.0.0.1").As16()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet6{Addr: at}), unix.Listen(fd, 10)); err != nil {
		t.Fatal(err)
	}
	s := mustActivate(t, fd, 3)
	if s.Host != "::ffff:127.0.0.1" || len(s.files) != 3 || len(s.group) != 1 {
		t.Errorf("%v, %d sockets for %d slots", s.Address, len(s.group), len(s.files))
	}
	dial(t, "127.0.0.1", s.Port)
	unix.Close(acceptAny(t, s))
}

// If no sockets can be added, all slots share the one socket.
func TestShared(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 1)
	if err := s.share(); err != nil {
		t.Fatal(err)
	}
	if err := s.Steer([]int{0}); err != nil {
		t.Error(err)
	}
	dial(t, "127.0.0.1", s.Port)
	fds := []unix.PollFd{{Fd: int32(s.files[0].Fd()), Events: unix.POLLIN}, {Fd: int32(s.files[1].Fd()), Events: unix.POLLIN}}
	if n, err := poll(fds); n != 2 || err != nil {
		t.Errorf("%d of 2 slots see the connection: %v", n, err)
	}
}

// If no sockets can be added, further slots share the socket too, also after an upgrade.
func TestGrowShared(t *testing.T) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := mustActivate(t, passed(t, l.(*net.TCPListener)), 1)
	again, err := Inherit(copied(t, s.Set))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, s := range []one{s, {again, again.all[0]}} {
		s.host = "192.0.2.1" // no socket can be bound to it
		if slot, err := s.Grow(); slot != 1 || err != nil || !s.foreign(slot) {
			t.Errorf("slot %d, %v", slot, err)
		}
	}
}

// An upgrade preserves the set.
func TestInherit(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 3)
	again, err := Inherit(copied(t, s.Set))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addresses()[0].Port != s.Port {
		t.Errorf("port %d, want %d", again.Addresses()[0].Port, s.Port)
	}
	if slot, err := again.Grow(); slot != 3 || err != nil {
		t.Errorf("slot %d, %v", slot, err)
	}
}

// Another socket can join a link-local address only at its interface.
func TestInheritLinkLocal(t *testing.T) {
	for want, a := range map[string]*unix.SockaddrInet6{
		"fe80::1%2": {Addr: netip.MustParseAddr("fe80::1").As16(), ZoneId: 2}, "::1": {Addr: netip.IPv6Loopback().As16()},
	} {
		if got := host6(a); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, a := range linkLocal(t) {
		s, err := try(a, 1)
		if err != nil {
			continue // the interface has just got it, or lost it
		}
		defer s.Close()
		again, err := Inherit(copied(t, s.Set))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if slot, err := again.Grow(); slot != 1 || err != nil {
			t.Errorf("%v: slot %d, %v", a, slot, err)
		}
	}
}

// linkLocal returns the link-local addresses of this machine, which may have none.
func linkLocal(t *testing.T) (all []Address) {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs() // none if it has just gone
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				all = append(all, Address{Host: p.Addr().WithZone(i.Name).String()})
			}
		}
	}
	return all
}

// An upgrade preserves which socket belongs to another program, also if all slots share it:
// no set ever refuses connections there.
func TestInheritShared(t *testing.T) {
	for _, share := range []bool{false, true} {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer foreign.Close()
		s := mustActivate(t, passed(t, l.(*net.TCPListener)), 1)
		if more := map[bool]func() error{false: s.join, true: s.share}[share]; more() != nil {
			t.Fatal("no second slot")
		}
		again, err := Inherit(copied(t, s.Set))
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		for slot := range 2 {
			if got, want := again.Sockets(slot)[0].Foreign, slot == 0 || share; got != want || s.foreign(slot) != want {
				t.Errorf("share %v: slot %d has the foreign socket: %v, %v before", share, slot, got, s.foreign(slot))
			}
		}
		if err := again.RefuseNew(); err != nil || Refusing(int(foreign.Fd())) {
			t.Errorf("share %v: the foreign socket refuses connections; %v", share, err)
		}
	}
}

func TestActivatedByOther(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	_, err = Open(Config{Slots: 1, Passed: []Passed{{FD: int(r.Fd())}}})
	if e, ok := err.(*exitcode.Error); !ok || e.Code != 78 || !strings.HasPrefix(err.Error(), "LISTEN_FDS: ") {
		t.Errorf("a pipe: %v", err)
	}
}
