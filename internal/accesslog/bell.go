package accesslog

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Doorbell wakes a [Writer]. It is a pipe: a worker can write to it, but cannot read what
// others have written. An upgraded master inherits it, since the workers keep their end.
type Doorbell struct {
	In  int // descriptor that the Writer polls
	Out int // descriptor that workers inherit, for [Wake]
}

// NewDoorbell creates a doorbell, close-on-exec and owned by the caller.
func NewDoorbell() (Doorbell, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return Doorbell{}, fmt.Errorf("create the doorbell of the access log: %w", err)
	}
	return Doorbell{In: fds[0], Out: fds[1]}, nil
}

// Close closes both ends.
func (d Doorbell) Close() {
	unix.Close(d.In)
	unix.Close(d.Out)
}

// Wake rings a doorbell. It does not block: the reader of a full pipe has been woken.
func Wake(out int) { _, _ = unix.Write(out, []byte{1}) }

// drain consumes up to 4096 rings. If there are more, they wake the Writer once again.
func (d Doorbell) drain() {
	var rings [4096]byte
	_, _ = unix.Read(d.In, rings[:])
}
