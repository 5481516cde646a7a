package listen

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/systest"
)

// keptBy returns copies of a set's sockets, as a service manager has them.
func keptBy(t *testing.T, s *Set) []Kept {
	t.Helper()
	kept := s.Kept()
	slices.Reverse(kept) // in whatever order it gives them back
	for i := range kept {
		fd, err := unix.FcntlInt(uintptr(kept[i].FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		kept[i].FD = fd
		if !IsKept(kept[i].Name) {
			t.Errorf("%q is not recognised as the name of a kept socket", kept[i].Name)
		}
	}
	return kept
}

// Only the names of kept sockets are taken for such: systemd names a passed socket after its unit, unless
// FileDescriptorName= does.
func TestIsKept(t *testing.T) {
	for name, want := range map[string]bool{
		"phalanx-0-000": true, "phalanx-15-1023": true, "phalanx-http.socket": false, "phalanx-0.socket": false, "phalanx-0-0.socket": false,
		"phalanx.socket": false, "phalanx-": false, "phalanx-0": false, "phalanx-0-": false, "phalanx--0": false, "https": false, "": false,
	} {
		if got := IsKept(name); got != want {
			t.Errorf("%q is taken for a kept socket: %v, want %v", name, got, want)
		}
	}
}

// Clients that connect while no server runs are served by the next one, however many slots
// it has, and although the previous one refused new connections.
func TestKept(t *testing.T) {
	for _, slots := range []int{1, 2, 3} {
		for _, host := range []string{"", "127.0.0.1"} {
			before := mustOpen(t, Address{Host: host}, 2)
			kept := keptBy(t, before.Set)
			if len(kept) != 2 {
				t.Fatalf("%d sockets are kept of 2", len(kept))
			}
			if slots > 1 {
				if err := before.RefuseNew(); err != nil {
					t.Fatal(err)
				}
			}
			before.Close()
			if slots == 1 {
				dial(t, "127.0.0.1", before.Port) // waits at either of the two
			}
			forgotten := 0
			after, err := Open(Config{Addresses: []Address{{Host: host, Port: before.Port}}, Slots: slots, Kept: kept,
				Forget: func(k []Kept) { forgotten += len(k) }})
			if err != nil {
				t.Fatal(err)
			}
			defer after.Close()
			if want := max(0, 2-slots); forgotten != want {
				t.Errorf("%d slots: %d sockets are forgotten, want %d", slots, forgotten, want)
			}
			s := one{after, after.all[0]}
			if len(s.files) != slots || len(s.group) != slots || s.Port != before.Port {
				t.Errorf("%d sockets for %d slots, at port %d, want %d", len(s.group), slots, s.Port, before.Port)
			}
			dial(t, "127.0.0.1", s.Port)
			acceptAny(t, s)
			if slots < 2 {
				continue
			}
			if err := s.Steer([]int{slots - 1}); err != nil {
				t.Fatal(err)
			}
			if got := arrivals(t, s, 8); got[slots-1] != 8 {
				t.Errorf("steered to slot %d, the slots got %v connections", slots-1, got)
			}
		}
	}
}

// Kept sockets that fewer slots do not need get no connections.
func TestKeptForFewer(t *testing.T) {
	before := mustOpen(t, Address{Host: "127.0.0.1"}, 3)
	kept, stored := keptBy(t, before.Set), keptBy(t, before.Set)
	before.Close()
	after, err := Open(Config{Addresses: []Address{{Host: "127.0.0.1", Port: before.Port}}, Slots: 1, Kept: kept,
		Forget: func(all []Kept) {
			for _, k := range all {
				unix.Close(stored[slices.IndexFunc(stored, func(s Kept) bool { return s.Name == k.Name })].FD)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	defer unix.Close(stored[2].FD) // that of the first slot
	for range 20 {
		dial(t, "127.0.0.1", before.Port)
		unix.Close(acceptAny(t, one{after, after.all[0]}))
	}
}

// A kept socket that no address needs is given up before the ports are opened.
func TestKeptForOthers(t *testing.T) {
	before := mustOpen(t, Address{}, 2) // so that the port is free at every address
	kept := keptBy(t, before.Set)
	before.Close()
	forgotten := 0
	after, err := Open(Config{Addresses: []Address{{Host: "127.0.0.1", Port: before.Port}}, Slots: 1, Kept: kept,
		Forget: func(k []Kept) { forgotten += len(k) }})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if forgotten != 2 {
		t.Errorf("%d of 2 sockets are forgotten", forgotten)
	}
	for _, k := range kept {
		if _, err := unix.FcntlInt(uintptr(k.FD), unix.F_GETFD, 0); err == nil {
			if accepts(k.FD) && (Address{Port: before.Port}).listensAt(k.FD) {
				t.Errorf("%s is still open", k.Name)
			}
		}
	}
}

// A socket for all IPv4 addresses does not serve IPv6, which was configured meanwhile, unless
// this machine has none.
func TestKeptForIPv4(t *testing.T) {
	before := mustOpen(t, Address{Host: "0.0.0.0"}, 2)
	kept := keptBy(t, before.Set)
	before.Close()
	forgotten, want := 0, 0
	if systest.HasIPv6() {
		want = 2
	}
	after, err := Open(Config{Addresses: []Address{{Port: before.Port}}, Slots: 2, Kept: kept,
		Forget: func(k []Kept) { forgotten += len(k) }})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if forgotten != want {
		t.Errorf("%d of 2 sockets are forgotten, want %d", forgotten, want)
	}
	if systest.HasIPv6() {
		dial(t, "::1", before.Port)
		unix.Close(acceptAny(t, one{after, after.all[0]}))
	}
}
