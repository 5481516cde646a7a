package ipc

import "time"

// The descriptors that a worker finds open, beside the standard ones.
const (
	ListenFD  = 3 // its slot's listening socket, non-blocking
	ControlFD = 4 // its end of the control channel, for [Open]
	LogFD     = 5 // where log lines go
	BoardFD   = 6 // the scoreboard, for a worker that has a row in it
	BellFD    = 7 // the doorbell of the access log, likewise

	// For a worker whose connections outlive it (package rescue):
	RecordsFD  = 8 // the memory of its records
	LifelineFD = 9 // the end of a pipe for its keeper to read from
)

// MaxSlots is the largest number of slots, and so of workers that serve.
const MaxSlots = 1024

// DeferAccept is for how long the kernel keeps a connection whose request has not
// come from accept(2), in whole seconds (TCP_DEFER_ACCEPT, tcp(7)).
const DeferAccept = 10 * time.Second
