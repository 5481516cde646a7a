package listen

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// arrivals connects the given number of clients, and counts for each socket of the set how
// many arrive there.
func arrivals(t *testing.T, s one, clients int) []int {
	t.Helper()
	counts := make([]int, len(s.group))
	for range clients {
		c := dial(t, "127.0.0.1", s.Port)
		var fds []unix.PollFd
		for _, f := range s.group {
			fds = append(fds, unix.PollFd{Fd: int32(f.Fd()), Events: unix.POLLIN})
		}
		if n, err := poll(fds); n != 1 || err != nil {
			t.Fatalf("%d sockets have a connection: %v", n, err)
		}
		for i, p := range fds {
			if p.Revents != 0 {
				counts[i]++
				fd, _, err := unix.Accept(int(p.Fd))
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(fd)
			}
		}
		c.Close()
	}
	return counts
}

func TestSteer(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 4)
	for _, slots := range [][]int{{2}, {0, 3}, {1, 2, 3}, {0, 1, 2, 3}, {1}, {}} {
		if err := s.Steer(slots); err != nil {
			t.Fatal(err)
		}
		wanted := slots
		if len(wanted) == 0 {
			wanted = []int{0, 1, 2, 3}
		}
		for i, n := range arrivals(t, s, 60) {
			// 60 random choices among 4 slots leave one out once in 30 million runs.
			if (n > 0) != slices.Contains(wanted, i) {
				t.Errorf("steered to %v: slot %[3]d got %[2]d connections", slots, n, i)
			}
		}
	}
}

// While the set grows and shrinks, steering follows the order in which the kernel numbers the
// remaining sockets.
func TestGrowAndShrink(t *testing.T) {
	s := mustOpen(t, Address{Host: "127.0.0.1", Short: true}, 2)
	for want := 2; want < 5; want++ {
		if slot, err := s.Grow(); slot != want || err != nil {
			t.Fatalf("slot %d, %v", slot, err)
		}
	}
	steer := func(slots ...int) {
		t.Helper()
		if err := s.Steer(slots); err != nil {
			t.Fatal(err)
		}
	}
	steer(0, 1, 2)
	if got := arrivals(t, s, 60); got[3]+got[4] > 0 {
		t.Errorf("the sockets got %v connections", got)
	}
	for range 2 {
		if err := s.Shrink(); err != nil {
			t.Fatal(err)
		}
	}
	if slot, err := s.Grow(); slot != 3 || err != nil {
		t.Fatalf("slot %d, %v", slot, err)
	}
	steer(3)
	if got := arrivals(t, s, 20); got[3] != 20 {
		t.Errorf("the sockets got %v connections", got)
	}
	// The last socket in the kernel's order takes the place of one that is closed.
	s.files[2], s.files[3] = s.files[3], s.files[2]
	if err := s.Shrink(); err != nil {
		t.Fatal(err)
	}
	steer(2)
	if got := arrivals(t, s, 20); got[2] != 20 {
		t.Errorf("the sockets got %v connections", got)
	}
	if slot, err := s.Grow(); slot != 3 || err != nil {
		t.Fatalf("slot %d, %v", slot, err)
	}
	steer(3)
	if got := arrivals(t, s, 20); got[3] != 20 {
		t.Errorf("the sockets got %v connections", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))); err == nil {
		c.Close()
		t.Error("a socket still listens")
	}
}
