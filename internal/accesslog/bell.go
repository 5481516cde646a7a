package accesslog

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// NewDoorbell creates a doorbell: an eventfd, close-on-exec, owned by the caller.
// Workers inherit it and ring it with [Wake]; an upgraded master inherits it too,
// since the workers keep theirs.
func NewDoorbell() (int, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("create the doorbell of the access log: %w", err)
	}
	return fd, nil
}

// Wake rings a doorbell. It never blocks: the counter of an eventfd takes 2^64-2
// rings (eventfd(2)), and a full one has woken its reader long ago.
func Wake(doorbell int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(doorbell, one[:])
}

// drain resets the counter of a doorbell.
func drain(doorbell int) {
	var count [8]byte
	unix.Read(doorbell, count[:])
}
