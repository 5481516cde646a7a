package eventloop

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A mailbox wakes its loop, and touches the eventfd no more once the loop has ended: its number may be another
// file's by then.
func TestMailbox(t *testing.T) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(wake)
	woken := func() bool {
		_, err := unix.Read(wake, make([]byte, 8))
		return err == nil
	}
	var m mailbox[int]
	m.notify(wake)
	m.put(1)
	m.put(2)
	if got := m.take(); !slices.Equal(got, []int{1, 2}) || !woken() || len(m.take()) != 0 {
		t.Errorf("%v, want both values once, and the loop woken", got)
	}
	m.notify(0)
	m.put(3)
	if woken() {
		t.Error("woken after its end")
	}
}
