package accesslog

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Doorbell is what wakes a [Writer]: a pipe, so that a worker can ring but not take the
// rings of others away. An upgraded master inherits it, since the workers keep their end.
type Doorbell struct {
	In  int // descriptor that the Writer waits for
	Out int // descriptor that workers inherit, and ring with [Wake]
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

// Wake rings a doorbell. It does not block: a full pipe has woken its reader long ago.
func Wake(out int) { _, _ = unix.Write(out, []byte{1}) }

// drain makes the doorbell wait for the next ring, or nearly so: of one that was rung
// thousands of times, a few rings remain for the next time.
func (d Doorbell) drain() {
	var rings [4096]byte
	_, _ = unix.Read(d.In, rings[:])
}
