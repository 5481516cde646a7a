package ipc

import "time"

// The descriptors that a worker finds open, beside the standard ones.
const (
	ListenFD  = 3 // its slot's first listening socket, non-blocking; see ListenerFD
	ControlFD = 4 // its end of the control channel, for [Open]
	LogFD     = 5 // its log pipe, for events in JSON that name its slot and pid
	BoardFD   = 6 // the scoreboard, for a worker that has a row in it
	BellFD    = 7 // the doorbell of the access log, likewise

	// For a worker whose connections outlive it (package rescue):
	RecordsFD  = 8 // the memory of its records
	LifelineFD = 9 // the keeper's end of its lifeline, see package rescue
)

// furtherFD is the second listening socket of a slot. What a version after this one adds
// to the descriptors above comes before it.
const furtherFD = 16

// ListenerFD returns the descriptor of a slot's listening socket, of which there is one
// for each address, from 0 on.
func ListenerFD(i int) int {
	if i == 0 {
		return ListenFD
	}
	return furtherFD + i - 1
}

// MaxSlots is the largest number of slots, and so of workers that serve.
const MaxSlots = 1024

// DeferAccept is for how long the kernel keeps a connection whose request has not
// come from accept(2), in whole seconds (TCP_DEFER_ACCEPT, tcp(7)).
const DeferAccept = 10 * time.Second
