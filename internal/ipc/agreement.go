package ipc

import "time"

// The descriptors that a worker inherits, besides the standard ones.
const (
	ListenFD  = 3 // its slot's first listening socket, non-blocking; see ListenerFD
	ControlFD = 4 // its end of the control channel, for [Open]
	LogFD     = 5 // its log pipe, for JSON events with its slot and pid
	BoardFD   = 6 // the scoreboard, if the worker has a row in it
	BellFD    = 7 // the pipe that wakes the writer of the access log, likewise

	// For a worker whose connections can be rescued (package rescue):
	RecordsFD  = 8 // the shared memory of its records
	LifelineFD = 9 // the keeper's end of its lifeline, see package rescue
)

// furtherFD is the second listening socket of a slot. The numbers below it are reserved for
// descriptors of later versions.
const furtherFD = 16

// ListenerFD returns the descriptor of a slot's listening socket for the address with index i,
// from 0 on.
func ListenerFD(i int) int {
	if i == 0 {
		return ListenFD
	}
	return furtherFD + i - 1
}

// MaxSlots is the largest number of slots, and so of workers.
const MaxSlots = 1024

// DeferAccept is how long accept(2) does not return a connection on which nothing was
// received, in whole seconds (TCP_DEFER_ACCEPT, tcp(7)).
const DeferAccept = 10 * time.Second
