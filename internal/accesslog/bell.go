package accesslog

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// NewDoorbell makes a doorbell: an eventfd, close-on-exec, which belongs to the
// caller. Workers get a copy of it and ring with [Wake]; a master that executes
// its next program hands it on, for the workers keep theirs.
func NewDoorbell() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("make doorbell of the access log: %w", err)
	}
	return fd, nil
}

// Wake rings a doorbell. It never waits: the counter of an eventfd takes 2^64-2
// rings (eventfd(2)), and one that is full has woken its reader long ago.
func Wake(doorbell int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(doorbell, one[:])
}

// hush forgets the rings so far.
func hush(doorbell int) {
	var count [8]byte
	unix.Read(doorbell, count[:])
}
