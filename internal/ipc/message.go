package ipc

import (
	"errors"
	"fmt"
	"math"
	"reflect"
)

// MaxMessage is the size of the largest message in bytes. Text that would
// exceed it is truncated.
const MaxMessage = 4096

// Message is one of the types below. Those that say "with a descriptor" travel
// with [Channel.SendFile].
type Message interface {
	// code writes the fields to c, or returns the message with the fields read from c.
	code(c *coder) Message
}

// Ready tells the master that the worker is ready to serve, and identifies it.
type Ready struct {
	PID     int    // 1 to 2^31-1
	Version string // of the worker, for the master to compare
}

// Failed tells the master why the worker is about to exit.
type Failed struct {
	ExitCode int    // 0 to 255, the code it will exit with
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
	Connections int   // 0 to 2^31-1
	Bytes       int64 // of responses whose length is known, not negative
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
// not, 0 to 2^32-1 each.
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
	Slots int // 1 to MaxSlots
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
	From int // pid of the worker, set by the master; 0 to 2^31-1
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
	Before, After int64  // bytes of the file and, if the job made one, of the copy; not negative
	Waiting       int    // jobs, 0 to 2^31-1
	Kept          int64  // bytes in the cache; not negative
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

func (m Serve) code(*coder) Message       { return m }
func (m Draining) code(*coder) Message    { return m }
func (m CanHandOver) code(*coder) Message { return m }
func (m TakeOver) code(*coder) Message    { return m }
func (m Alive) code(*coder) Message       { return m }
func (m Render) code(*coder) Message      { return m }
func (m QueuesEmpty) code(*coder) Message { return m }
func (m QueueLeft) code(*coder) Message   { return m }

func (m Job) code(c *coder) Message {
	number(c, &m.Kind, 1, 1, uint64(numJobs-1))
	number(c, &m.From, 4, 0, math.MaxInt32)
	return m
}

func (m JobDone) code(c *coder) Message {
	number(c, &m.Kind, 1, 1, uint64(numJobs-1))
	number(c, &m.Outcome, 1, 0, uint64(numOutcomes-1))
	number(c, &m.Before, 8, 0, math.MaxInt64)
	number(c, &m.After, 8, 0, math.MaxInt64)
	number(c, &m.Waiting, 4, 0, math.MaxInt32)
	number(c, &m.Kept, 8, 0, math.MaxInt64)
	c.text(&m.Reason)
	return m
}

func (m Ready) code(c *coder) Message {
	number(c, &m.PID, 4, 1, math.MaxInt32)
	c.text(&m.Version)
	return m
}

func (m Failed) code(c *coder) Message {
	number(c, &m.ExitCode, 1, 0, math.MaxUint8)
	c.text(&m.Reason)
	return m
}

func (m CredentialsRefused) code(c *coder) Message {
	c.text(&m.Reason)
	return m
}

func (m Confined) code(c *coder) Message {
	c.flag(&m.Sandboxed)
	c.flag(&m.Unreadable)
	c.text(&m.Missing)
	return m
}

func (m Recycle) code(c *coder) Message {
	c.text(&m.Reason)
	return m
}

func (m Drain) code(c *coder) Message {
	c.flag(&m.Queue)
	return m
}

func (m Remaining) code(c *coder) Message {
	number(c, &m.Connections, 4, 0, math.MaxInt32)
	number(c, &m.Bytes, 8, 0, math.MaxInt64)
	return m
}

func (m Show) code(c *coder) Message {
	number(c, &m.ID, 4, 0, math.MaxUint32)
	return m
}

func (m Share) code(c *coder) Message {
	number(c, &m.Slots, 2, 1, MaxSlots)
	return m
}

func (m Shown) code(c *coder) Message {
	number(c, &m.ID, 4, 0, math.MaxUint32)
	return m
}

func (m Credentials) code(c *coder) Message {
	number(c, &m.ID, 4, 0, math.MaxUint32)
	return m
}

func (m CredentialsUsed) code(c *coder) Message {
	number(c, &m.ID, 4, 0, math.MaxUint32)
	return m
}

func (m Rescue) code(c *coder) Message {
	number(c, &m.Blame, 1, 0, uint64(numBlames-1))
	return m
}

func (m Rescued) code(c *coder) Message {
	for _, n := range []*int{&m.Connections, &m.Ended, &m.Reset, &m.Fixed, &m.Blamed, &m.Lost} {
		number(c, n, 4, 0, math.MaxUint32)
	}
	number(c, &m.Bytes, 8, 0, math.MaxUint64)
	return m
}

// Encode appends the wire form of m to dst.
func Encode(dst []byte, m Message) []byte {
	c := coder{writes: true, room: MaxMessage - 1}
	for kind, known := range kinds() {
		if reflect.TypeOf(known) == reflect.TypeOf(m) {
			dst = append(dst, byte(kind))
		}
	}
	m.code(&c)
	return append(dst, c.p...)
}

// Decode decodes one message. It accepts only what [Encode] writes.
func Decode(p []byte) (Message, error) {
	if len(p) == 0 || len(p) > MaxMessage {
		return nil, fmt.Errorf("decode message of %d bytes: must be 1 to %d", len(p), MaxMessage)
	}
	known := kinds()
	if p[0] == 0 || int(p[0]) >= len(known) || known[p[0]] == nil {
		return nil, fmt.Errorf("decode message: unknown kind %d", p[0])
	}
	c := coder{p: p[1:]}
	m := known[p[0]].code(&c)
	if c.err == nil && len(c.p) > 0 {
		c.err = errLength
	}
	if c.err != nil {
		return nil, fmt.Errorf("decode message of kind %d, %d bytes: %w", p[0], len(p), c.err)
	}
	return m, nil
}

// ErrTruncated is returned for a message with more descriptors than allowed.
var ErrTruncated = errors.New("the message has too many descriptors")

// ErrFull is returned by Send when the other side has stopped reading.
var ErrFull = errors.New("the other side does not read its messages")
