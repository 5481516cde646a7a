// Package status is what can be seen of a running pool, in the form in which
// the master's admin endpoint gives it and `master top` and `master status`
// read it: JSON.
//
// [Pool] is one look at everything. A [Worker] has its own counters; those of
// a [Slot] and of the whole are sums over every worker that there has ever
// been, so that none goes back when one dies or is replaced. Rates and
// latencies are of the last seconds, see Pool.Window.
package status

import (
	"errors"
	"time"

	"phalanx/internal/observe/histogram"
)

// ErrNoWorker says that the worker somebody asks about is not there.
var ErrNoWorker = errors.New("there is no such worker")

// The states of a pool.
const (
	Starting = "starting"  // not every worker was ready once
	Serving  = "serving"   // it takes requests
	LameDuck = "lame-duck" // it takes requests and is about to stop
	Draining = "draining"  // it finishes what it has
)

// The states of a worker.
const (
	WorkerStarting = "starting" // it is not ready yet
	WorkerServing  = "serving"  // it takes new connections
	WorkerDraining = "draining" // it finishes what it has; another one has its slot, or nobody
	WorkerBackoff  = "backoff"  // there is no process; one is started soon
	WorkerEmpty    = "empty"    // there is no process, and none is started: its slot was given up
)

// Pool is one look at a pool.
type Pool struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Time    time.Time `json:"time"`    // of the look
	Started time.Time `json:"started"` // of the master
	State   string    `json:"state"`
	Ready   bool      `json:"ready"` // State is Serving
	Address string    `json:"address"`
	Base    string    `json:"base"`
	Model   string    `json:"model"`
	Slots   int       `json:"slots"`   // that there are to be
	Reloads int       `json:"reloads"` // so far
	Window  float64   `json:"window"`  // seconds to which rates and latencies belong

	Total   Figures  `json:"total"`   // of all workers there have been
	Workers []Worker `json:"workers"` // by slot; in a slot, the one that serves first
	PerSlot []Slot   `json:"-"`       // every slot that there has ever been, in order; for the metrics
	History []Point  `json:"history"` // one a second, the last is the latest; at most a minute
}

// Worker is one process, or a slot without one (PID 0).
type Worker struct {
	Slot       int       `json:"slot"`
	PID        int       `json:"pid"`
	State      string    `json:"state"`
	Generation int       `json:"generation"` // processes the slot has had, this one included
	Deaths     int       `json:"deaths"`     // of the slot's workers, unwanted ones
	Started    time.Time `json:"started"`
	Beat       float64   `json:"beat"`             // seconds since its last sign of life
	Queue      int       `json:"queue"`            // connections that wait to be accepted
	QueueMax   int       `json:"queue_max"`        // and how many may
	CPU        float64   `json:"cpu"`              // share of one CPU, 1 is all of it
	CPUSeconds float64   `json:"cpu_seconds"`      // that it has used
	Memory     int64     `json:"memory"`           // bytes, resident
	Left       int64     `json:"left"`             // bytes that it still has to send, when it drains
	Oldest     *Request  `json:"oldest,omitempty"` // the request that is under way for longest
	Figures
}

// Slot is the sum over every worker that a slot has had.
type Slot struct {
	Slot        int
	Generations int     // workers
	Deaths      int     // of them, unwanted ones
	CPUSeconds  float64 // that they have used
	Figures             // rates and quantiles are zero
}

// Figures are counters, gauges, and what follows from them.
type Figures struct {
	Requests  map[string]uint64 `json:"requests"`  // begun to be answered, by "1xx" to "5xx"
	Answered  uint64            `json:"answered"`  // their sum
	Cut       uint64            `json:"cut"`       // replies that ended early
	Bytes     uint64            `json:"bytes"`     // sent to clients, heads included
	Accepted  uint64            `json:"accepted"`  // connections
	Adopted   uint64            `json:"adopted"`   // connections taken over from other workers
	Timeouts  uint64            `json:"timeouts"`  // connections that were ended because the client was slow
	Drops     uint64            `json:"drops"`     // connections that were ended for want of something here
	LogLost   uint64            `json:"log_lost"`  // lines of the access log
	Active    int               `json:"active"`    // connections
	Idle      int               `json:"idle"`      // of those: waiting for a request
	Rate      float64           `json:"rate"`      // requests a second
	Bandwidth float64           `json:"bandwidth"` // bytes a second
	P50       float64           `json:"p50"`       // seconds from a request's first byte to its reply's last; 0: no request
	P99       float64           `json:"p99"`

	Latency        histogram.Counts `json:"-"` // replies sent whole, by the time they took
	LatencySeconds float64          `json:"-"` // the sum of those times
}

// Point is a second of the past.
type Point struct {
	Rate      float64 `json:"rate"`      // requests a second
	Bandwidth float64 `json:"bandwidth"` // bytes a second
	P99       float64 `json:"p99"`       // seconds
}

// Request is one that is under way.
type Request struct {
	Line string  `json:"line"` // method and target, perhaps cut; any byte but controls
	Age  float64 `json:"age"`  // seconds since its first byte
}

// Connections are those of one worker.
type Connections struct {
	Slot        int          `json:"slot"`
	PID         int          `json:"pid"`
	Total       int          `json:"total"`       // there are
	Connections []Connection `json:"connections"` // downloads first, the largest rest first; then by age; perhaps not all
}

// The states of a connection.
const (
	ConnIdle      = "idle"      // it waits for a request
	ConnReceiving = "receiving" // a request comes in
	ConnSending   = "sending"   // a reply goes out
	ConnEnding    = "ending"    // the last reply has been sent
)

// Connection is one client's.
type Connection struct {
	Client string  `json:"client"` // address and port
	State  string  `json:"state"`
	Line   string  `json:"line,omitempty"` // of the request under way, where it is known
	Sent   int64   `json:"sent"`           // bytes of the body so far
	Size   int64   `json:"size"`           // of the body; 0: not known
	Age    float64 `json:"age"`            // seconds that the request, or else the state, has lasted
}

// MaxConnections is how many connections a worker lists.
const MaxConnections = 20_000

// Outcome is what became of an order: reload, stop or scale.
type Outcome struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"` // one line
}
