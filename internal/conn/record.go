package conn

import (
	"time"

	"phalanx/internal/proto"
)

// This file is who hears of a connection's requests: those who count them, and
// those who write them down.

// Tally counts. Its methods are called from the goroutine of the connection.
type Tally interface {
	// Received is told that a head is complete, with its method and target, which
	// are valid during the call only, and when its first byte came.
	Received(line []byte, began time.Duration)
	Begun(s proto.Status)     // a reply has been begun
	Done(began time.Duration) // it is whole, but what Next has appended is not sent yet; began is that of its Record
	Cut()                     // it has ended early
	TimedOut()                // the connection ends because its client is slow
}

// Record is what there is to say of a request when its reply has been sent,
// or has ended early.
type Record struct {
	Method, Target []byte // as sent; valid during the call only, like all slices here
	Minor          uint8  // the version is HTTP/1.Minor
	Referer, Agent []byte // as sent; empty if they were not
	ID             []byte // of Config.ID or the client; empty if there is none
	Status         proto.Status
	Bytes          int64         // of the reply's body
	Began          time.Duration // when its first byte came, on Now's monotonic clock
	Headed         time.Duration // when it was complete
	Reason         string        // why it was refused or ended early, or empty
}

// Observer is told of a connection's requests, for the log. The slices are
// valid during the call only.
type Observer interface {
	Head(head []byte)
	Begun() // what the reply will be has been found out
	Done(r Record)
}

// watched is what is known of the request so far, and who wants to hear of it.
type watched struct {
	Record
	obs Observer // nil: nobody
	// silent says that nothing is known of this request: another worker began it,
	// which had no observer.
	silent bool
}

// again makes the record that of the next request. Its buffers are used again.
func (w *watched) again(began time.Duration) {
	w.silent = false
	w.Record = Record{
		Method: w.Method[:0], Target: w.Target[:0], Referer: w.Referer[:0], Agent: w.Agent[:0], ID: w.ID[:0],
		Began: began, Headed: began,
	}
}
