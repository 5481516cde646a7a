package ipc

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// MaxMessage is the size of the largest message in bytes. Text that would
// exceed it is truncated.
const MaxMessage = 4096

// Message is one of the types below. Those that say "with a descriptor" travel
// with [Channel.SendFile]. An int is from 0 to 2^31-1, and an int64 not negative.
type Message any

// Ready tells the master that the worker is ready to serve, and identifies it.
type Ready struct {
	PID     int    // at least 1
	Version string // of the worker, for the master to compare
}

// Failed tells the master why the worker is about to exit.
type Failed struct {
	ExitCode uint8  // the code it will exit with
	Reason   string // one sentence, no newline
}

// Serve tells the worker to start accepting.
type Serve struct{}

// Draining tells the master that the worker drains although the master has not ordered it.
type Draining struct{}

// QueueLeft tells the master, before Draining, that the worker leaves its accept queue to
// another worker.
type QueueLeft struct{}

// CanHandOver tells the master, before Ready, that the worker can hand connections over and
// take them over.
type CanHandOver struct{}

// TakeOver, with a descriptor, tells the worker to take over connections from that handover
// channel until end-of-file; see [Handover].
type TakeOver struct{}

// Drain tells the worker to drain, because another one serves in its place. The descriptor, if
// any, is the handover channel for its connections; what cannot be handed over is finished
// first.
type Drain struct {
	// Queue: no other worker takes over the listening socket, so this worker also serves the
	// connections in its accept queue.
	Queue bool
}

// Alive is the heartbeat, sent from inside the serving loop.
type Alive struct{}

// Recycle asks the master to replace the worker.
type Recycle struct {
	Reason string // for the log
}

// Remaining tells the master, each second while the worker drains, what is still under way.
type Remaining struct {
	Connections int
	Bytes       int64 // of responses whose length is known
}

// Show, with a descriptor, asks the worker to write a list of its connections to that file.
// The worker replies with Shown.
type Show struct {
	ID uint32 // repeated in Shown
}

// Shown tells the master that the list is written.
type Shown struct {
	ID uint32 // of Show
}

// Blame says which of a dead worker's connections may have caused its death.
type Blame byte

// The connections to blame for the death of a worker.
const (
	BlameNobody  Blame = iota // it was killed from outside
	BlameCurrent              // the request being processed may have caused it
	BlameBusy                 // its memory may be damaged: only idle connections continue
	numBlames
)

// Rescue, with a descriptor, tells the worker before Serve to rescue a dead worker's
// connections from that channel; see [RescueChannel]. The worker replies with Rescued, and
// leaves their sockets alone before Serve.
type Rescue struct {
	Blame Blame
}

// Rescued tells the master that all connections were received, and how many are rescued or
// not.
type Rescued struct {
	Connections int    // rescued
	Ended       int    // were closed or handed over before
	Reset       int    // by the client in the meantime
	Fixed       int    // closed: their response cannot be continued by another worker
	Blamed      int    // closed: see Blame
	Lost        int    // closed: their records are inconsistent, or no descriptor was free
	Bytes       uint64 // still to be sent on those that are rescued
}

// Credentials, with a descriptor, gives the worker its certificates and keys: an encoded
// certificate.Bundle in a file made by [Sealed]. A worker with a TLS listener is Ready only
// after it has loaded its first credentials. Later ones replace them; if the worker cannot use
// them, it keeps the old ones.
type Credentials struct {
	ID uint32 // for CredentialsUsed; it grows
}

// CredentialsUsed tells the master that new connections use the Credentials with this ID.
type CredentialsUsed struct {
	ID uint32
}

// CredentialsRefused tells the master that the worker cannot use the latest credentials and
// keeps the old ones.
type CredentialsRefused struct {
	Reason string // one sentence, no newline
}

// Confined tells the master, before Ready, how far the worker is sandboxed.
type Confined struct {
	Sandboxed  bool   // the sandbox is in force as far as the kernel supports it, see package sandbox
	Unreadable bool   // its user may not read what it serves
	Missing    string // what the kernel does not support, one line; "": nothing
}

// QueuesEmpty tells the master that the draining worker has emptied its accept queues and
// closed its listening sockets.
type QueuesEmpty struct{}

// Share tells the worker by how many slots the limits of the pool are divided, before Serve
// and after each change. The default is 1.
type Share struct {
	Slots uint16 // 1 to MaxSlots
}

// Render, with a descriptor, asks the master to have Markdown rendered. The worker writes
// Markdown to that stream socket until end-of-file, and HTML comes back. The socket is closed
// without HTML if that fails.
type Render struct{}

// JobKind is a kind of job that the helper process does with a file; see package helper.
type JobKind byte

// The kinds of jobs. Compressing jobs have the number of their content coding in package
// proto.
const (
	JobGzip       JobKind = iota + 1 // make a compressed copy
	JobZstd                          // the same
	JobBrotli                        // the same
	JobDigest                        // compute the digest of the content
	JobCopyDigest                    // compute the digest of a compressed copy
	numJobs
)

// Job, with a descriptor, requests a job with that file: a worker sends it to the master, and
// the master to its helper. The worker gets no reply.
type Job struct {
	Kind JobKind
	From int // pid of the worker, set by the master
}

// JobOutcome is the outcome of a [Job].
type JobOutcome byte

// The outcomes.
const (
	JobMade    JobOutcome = iota // done
	JobKnown                     // already done before
	JobUseless                   // the result would be of no use
	JobFailed
	numOutcomes
)

// JobDone tells the master the outcome of a job of its helper, and how many jobs are waiting.
type JobDone struct {
	Kind          JobKind
	Outcome       JobOutcome
	Before, After int64  // bytes of the file and, if the job made one, of the copy
	Waiting       int    // jobs
	Kept          int64  // bytes in the cache
	Reason        string // of a failure, one sentence
}

// kinds maps the first byte of a message to its type. Numbers are never reused: 13 and 14 are
// retired.
func kinds() []Message {
	return []Message{
		1: Ready{}, 2: Failed{}, 3: Serve{}, 4: Draining{}, 5: CanHandOver{}, 6: TakeOver{}, 7: Drain{}, 8: Alive{},
		9: Recycle{}, 10: Remaining{}, 11: Show{}, 12: Shown{}, 15: Rescue{}, 16: Rescued{},
		17: Credentials{}, 18: CredentialsUsed{}, 19: CredentialsRefused{},
		20: Confined{}, 21: QueuesEmpty{}, 22: Render{}, 23: Share{}, 24: QueueLeft{},
		25: Job{}, 26: JobDone{},
	}
}

// valid reports whether the numbers of a message that was received are defined.
func valid(m Message) bool {
	switch m := m.(type) {
	case Ready:
		return m.PID > 0
	case Rescue:
		return m.Blame < numBlames
	case Share:
		return 0 < m.Slots && m.Slots <= MaxSlots
	case Job:
		return 0 < m.Kind && m.Kind < numJobs
	case JobDone:
		return 0 < m.Kind && m.Kind < numJobs && m.Outcome < numOutcomes
	}
	return true
}

// Encode returns the wire form of m.
func Encode(m Message) []byte {
	kind := slices.IndexFunc(kinds(), func(known Message) bool { return reflect.TypeOf(known) == reflect.TypeOf(m) })
	if kind < 0 {
		panic(fmt.Sprintf("ipc: %T is not a message", m))
	}
	p := []byte{byte(kind)}
	for _, field := range reflect.ValueOf(m).Fields() {
		p = appendField(p, field)
	}
	return p
}

var errLength = errors.New("wrong length")

// Decode decodes one message. It accepts only what [Encode] writes.
func Decode(p []byte) (Message, error) {
	if len(p) == 0 || len(p) > MaxMessage {
		return nil, fmt.Errorf("decode message of %d bytes: must be 1 to %d", len(p), MaxMessage)
	}
	known := kinds()
	if p[0] == 0 || int(p[0]) >= len(known) || known[p[0]] == nil {
		return nil, fmt.Errorf("decode message: unknown kind %d", p[0])
	}
	v, rest, err := reflect.New(reflect.TypeOf(known[p[0]])).Elem(), p[1:], error(nil)
	for i := 0; i < v.NumField() && err == nil; i++ {
		rest, err = readField(rest, v.Field(i))
	}
	m := v.Interface()
	switch {
	case err != nil:
	case len(rest) > 0:
		err = errLength
	case !valid(m):
		err = errors.New("a number is out of range")
	}
	if err != nil {
		return nil, fmt.Errorf("decode message of kind %d, %d bytes: %w", p[0], len(p), err)
	}
	return m, nil
}

// ErrTruncated is returned for a message with more descriptors than allowed.
var ErrTruncated = errors.New("the message has too many descriptors")

// ErrFull is returned by Send when the other side has stopped reading.
var ErrFull = errors.New("the other side does not read its messages")
