// Package status has the types of a snapshot of a running pool, which the
// master's admin endpoint sends and `master top` and `master status` read as
// JSON.
//
// [Pool] is the snapshot. A [Worker] has its own counters; those of a [Slot] and
// of the pool are sums over all workers there have ever been, so no counter
// decreases when a worker dies or is replaced. Rates and latencies cover the
// last seconds, see Pool.Window.
package status

import (
	"errors"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/observe/histogram"
)

// ErrNoWorker reports that no worker has the given slot and pid.
var ErrNoWorker = errors.New("no such worker")

// The states of a pool.
const (
	Starting = "starting"  // not all workers have been ready yet
	Serving  = "serving"   // accepting requests
	LameDuck = "lame-duck" // accepting requests, about to drain
	Draining = "draining"  // finishing requests under way
)

// The states of a worker.
const (
	WorkerStarting    = "starting"    // not ready yet, or taking over the connections of a dead worker
	WorkerServing     = "serving"     // accepting connections
	WorkerDraining    = "draining"    // finishing; another worker may have its slot by now
	WorkerKilled      = "killed"      // sent SIGKILL, and has not exited yet
	WorkerBackoff     = "backoff"     // no process; a respawn is due
	WorkerQuarantined = "quarantined" // no process and no respawn until SIGHUP
)

// The values of Worker.Sandbox.
const (
	SandboxFull    = "full"
	SandboxPartial = "partial: " // followed by what is missing
)

// Pool is a snapshot of a pool.
type Pool struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Time    time.Time `json:"time"`    // of the snapshot
	Started time.Time `json:"started"` // of the master
	Uptime  float64   `json:"uptime"`  // seconds since then, even if the clock was set meanwhile
	State   string    `json:"state"`
	Ready   bool      `json:"ready"` // State is Serving
	Address string    `json:"address"`
	Base    string    `json:"base"`
	Model   string    `json:"model"`
	Slots   int       `json:"slots"`                  // configured number of workers
	Reloads int       `json:"reloads"`                // number of reloads so far
	Failed  string    `json:"reload_error,omitempty"` // why the last reload failed; "": it did not
	Deaths  int       `json:"deaths"`                 // unexpected exits of workers, of former slots too
	Window  float64   `json:"window"`                 // seconds that rates and latencies cover

	Sites []Site `json:"sites,omitempty"` // by number, if there are several; the first is for all other hosts

	Rescue Rescue `json:"rescue"` // of dead workers' connections, so far

	Helper *Helper `json:"helper,omitempty"` // nil if the options give it nothing to do

	ACME         *ACME         `json:"acme,omitempty"` // nil if no certificate is obtained by ACME
	Certificates []Certificate `json:"certificates"`   // for HTTPS, at most MaxCertificates, the first to expire first

	Faults   []string  `json:"-"`        // current faults of the master, one line each; included in Problems
	Problems []Problem `json:"problems"` // what an operator should know first; the worst first

	Total   Figures  `json:"total"`   // of all workers, former ones included
	Workers []Worker `json:"workers"` // by slot; within a slot, the newest first, and draining ones last
	PerSlot []Slot   `json:"-"`       // all slots, former ones included, in order; for the metrics
	History []Point  `json:"history"` // one per second, the latest last; at most a minute
}

// Site is a site of a server that has several, with its counters since it was configured.
type Site struct {
	Name     string            `json:"name"` // its first host; "*": all other hosts
	Base     string            `json:"base"` // its document root; empty: those hosts are refused
	Requests map[string]uint64 `json:"requests"`
	Bytes    uint64            `json:"bytes"` // of content, of responses that have ended
}

// Answered is the sum of Requests.
func (s *Site) Answered() uint64 { return sum(s.Requests) }

// Served describes the document roots of the pool: "/srv", or "3 sites".
func (p *Pool) Served() string {
	n := len(p.Sites) - 1 // without the site for all other hosts
	switch {
	case n < 1:
		return p.Base
	case p.Base == "":
		return human.Plural(n, "site", "sites")
	}
	return human.Plural(n, "site", "sites") + " and " + p.Base
}

// Count returns the number of workers for which a function is true.
func (p *Pool) Count(so func(*Worker) bool) (n int) {
	for i := range p.Workers {
		if so(&p.Workers[i]) {
			n++
		}
	}
	return n
}

// Classes are the classes of status codes.
var Classes = []string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// Worker is one process, or a slot without one (PID 0).
type Worker struct {
	Slot       int       `json:"slot"`
	PID        int       `json:"pid"`
	State      string    `json:"state"`
	Generation int       `json:"generation"` // processes the slot has had, this one included
	Deaths     int       `json:"deaths"`     // unexpected exits of the slot's workers
	Started    time.Time `json:"started"`
	Uptime     float64   `json:"uptime"`           // seconds since then, even if the clock was set meanwhile
	Killed     float64   `json:"killed,omitempty"` // seconds since it was sent SIGKILL; 0: it was not
	Heartbeat  float64   `json:"heartbeat"`        // seconds since its last heartbeat
	Queue      int       `json:"queue"`            // connections waiting in the fullest of its accept queues
	QueueMax   int       `json:"queue_max"`        // limit of the accept queue
	CPU        float64   `json:"cpu"`              // share of one CPU, from 0 to 1; more with several threads
	CPUSeconds float64   `json:"cpu_seconds"`      // CPU time used so far
	Memory     int64     `json:"memory"`           // resident bytes
	Left       int64     `json:"left"`             // bytes still to be sent while draining
	Keeper     int       `json:"keeper"`           // pid of its keeper; 0: none
	Sandbox    string    `json:"sandbox"`          // SandboxFull, or SandboxPartial and what is missing; "": none
	Stale      int       `json:"stale"`            // sites of which it serves an earlier release because the new one cannot be served
	Oldest     *Request  `json:"oldest,omitempty"` // the longest-running request under way
	Figures
}

// MaxCertificates is how many certificates a snapshot has at most.
const MaxCertificates = 100

// Certificate is a certificate for HTTPS.
type Certificate struct {
	Names       []string  `json:"names"`       // hosts and addresses that it is for; never empty
	Source      string    `json:"source"`      // its file, or how it was obtained
	Issuer      string    `json:"issuer"`      // distinguished name
	Key         string    `json:"key"`         // kind of key: ECDSA, RSA or Ed25519
	Fingerprint string    `json:"fingerprint"` // SHA-256: AB:CD:…
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"` // of it or an intermediate, whichever is the earliest
	Expiring    bool      `json:"expiring"`  // expires soon, or has expired; a warning was logged
}

// Name is the first name.
func (c Certificate) Name() string {
	if len(c.Names) == 0 {
		return ""
	}
	return c.Names[0]
}

// Left is the time until it expires in seconds, negative if it has expired.
func (c Certificate) Left(now time.Time) float64 { return c.NotAfter.Sub(now).Seconds() }

// ACME describes the certificates obtained by ACME.
type ACME struct {
	Hosts       []Host `json:"hosts"`
	Issued      uint64 `json:"issued"`      // attempts that obtained a certificate
	Refused     uint64 `json:"refused"`     // attempts that the authority refused
	Unreachable uint64 `json:"unreachable"` // attempts without a response
}

// Host is a host whose certificate is obtained by ACME.
type Host struct {
	Name      string    `json:"name"`
	Certified bool      `json:"certified"` // it has a certificate that has not expired
	Next      time.Time `json:"next"`      // when an attempt is due
	Failures  int       `json:"failures"`  // failed attempts in a row
	Problem   string    `json:"problem"`   // of the last attempt, one line; "" if it succeeded
}

// Helper is the helper process, with the counters of all helpers so far.
type Helper struct {
	PID     int    `json:"pid"`     // 0: not running
	Deaths  uint64 `json:"deaths"`  // unexpected exits
	Waiting int    `json:"waiting"` // jobs waiting
	Dropped uint64 `json:"dropped"` // jobs dropped: the queue was full, or there was no helper
	Made    uint64 `json:"made"`    // compressed copies made
	Useless uint64 `json:"useless"` // jobs that made no copy because it would hardly have been smaller
	Digests uint64 `json:"digests"` // content digests made
	Failed  uint64 `json:"failed"`  // jobs that failed
	Before  uint64 `json:"before"`  // bytes of the files that were compressed
	After   uint64 `json:"after"`   // bytes of their copies
	Kept    int64  `json:"kept"`    // bytes in the cache directory
}

// Rescue counts what became of dead workers' connections.
type Rescue struct {
	Workers     uint64  `json:"workers"`     // dead workers whose connections were rescued
	Connections uint64  `json:"connections"` // connections rescued
	Bytes       uint64  `json:"bytes"`       // bytes still to be sent on them
	Unmovable   uint64  `json:"unmovable"`   // connections closed: their response cannot be continued elsewhere
	Blamed      uint64  `json:"blamed"`      // closed: their request may have killed the worker
	Reset       uint64  `json:"reset"`       // closed by the client meanwhile
	Lost        uint64  `json:"lost"`        // closed: their records were inconsistent, no descriptor was free, or no rescue was possible
	GivenUp     uint64  `json:"given_up"`    // dead workers none of whose connections could be rescued
	Last        float64 `json:"last"`        // seconds from a worker's death to the end of its rescue, the last one
	Seconds     float64 `json:"seconds"`     // the same, summed over all rescues
}

// Closed is how many connections of dead workers were closed.
func (r Rescue) Closed() uint64 { return r.Unmovable + r.Blamed + r.Lost }

// Slot is the sum over every worker that a slot has had.
type Slot struct {
	Slot        int
	Generations int     // workers started
	Deaths      int     // of those, unexpected exits
	CPUSeconds  float64 // CPU time used
	Figures             // rates and quantiles are zero
}

// Figures are counters and gauges, and the rates and quantiles computed from them.
type Figures struct {
	Requests  map[string]uint64 `json:"requests"`   // whose response has begun, by "1xx" to "5xx"
	Answered  uint64            `json:"answered"`   // sum of Requests
	Versions  map[string]uint64 `json:"versions"`   // Requests by version of HTTP: "1.0", "1.1" and "2"
	Truncated uint64            `json:"truncated"`  // responses that did not reach their end
	Bytes     uint64            `json:"bytes"`      // sent to clients, response headers included
	Accepted  uint64            `json:"accepted"`   // connections
	TakenOver uint64            `json:"taken_over"` // connections taken over from other workers
	TimedOut  uint64            `json:"timed_out"`  // connections closed because the client timed out
	Dropped   uint64            `json:"dropped"`    // connections closed for lack of descriptors or memory
	Limited   map[string]uint64 `json:"limited"`    // connections closed at a limit, by "idle", "head", "client" and "rate"
	Copied    uint64            `json:"copied"`     // requests answered with a compressed copy from the cache directory
	Denied    uint64            `json:"denied"`     // Requests of clients that --allow or --deny refuses
	Unproxied map[string]uint64 `json:"unproxied"`  // connections closed because their PROXY header was refused, by reason; zeros are left out
	LogLost   uint64            `json:"log_lost"`   // access log lines lost
	Releases  uint64            `json:"releases"`   // releases put into service after the start of the worker
	Active    int               `json:"active"`     // open connections, idle ones included
	Idle      int               `json:"idle"`       // of those, without a request under way
	Rate      float64           `json:"rate"`       // requests per second
	Bandwidth float64           `json:"bandwidth"`  // bytes per second
	P50       float64           `json:"p50"`        // seconds from a request's first byte to its response's last; 0: no requests
	P99       float64           `json:"p99"`

	TLS *TLS `json:"tls,omitempty"` // nil if no client has tried a handshake

	HTTP2 *HTTP2 `json:"http2,omitempty"` // nil if no client has used it

	Credentials map[string]uint64 `json:"credentials,omitempty"` // by result: "right", "remembered", "wrong", "limited" or "busy"; nil if none were checked

	Latency        histogram.Counts `json:"-"` // of complete responses
	LatencySeconds float64          `json:"-"` // sum of those latencies
}

// AtLimits is how many connections were closed at a limit.
func (f *Figures) AtLimits() uint64 { return sum(f.Limited) }

// HTTP2 counts the streams and the errors of HTTP/2 connections.
type HTTP2 struct {
	Streams int               `json:"streams"` // open requests
	Ended   map[string]uint64 `json:"ended"`   // connections closed for abuse or protocol errors, by reason; zeros are left out
}

// Endings is the sum of Ended.
func (h *HTTP2) Endings() uint64 { return sum(h.Ended) }

// TLS counts TLS handshakes.
type TLS struct {
	Handshakes map[string]uint64 `json:"handshakes"` // completed, by "1.2" and "1.3"
	Resumed    uint64            `json:"resumed"`    // of those, with an earlier session
	Failed     map[string]uint64 `json:"failed"`     // handshakes, and connections later, by reason; zeros are left out
}

// Completed is how many handshakes were completed.
func (t *TLS) Completed() uint64 { return t.Handshakes["1.2"] + t.Handshakes["1.3"] }

// Failures is how many handshakes, and connections later, failed.
func (t *TLS) Failures() uint64 { return sum(t.Failed) }

func sum(counters map[string]uint64) (n uint64) {
	for _, k := range counters {
		n += k
	}
	return n
}

// Point has the figures of one second.
type Point struct {
	Rate      float64 `json:"rate"`      // requests per second
	Bandwidth float64 `json:"bandwidth"` // bytes per second
	P99       float64 `json:"p99"`       // seconds
}

// Request is a request under way.
type Request struct {
	Line string  `json:"line"` // method and target, possibly shortened; any byte but controls
	Age  float64 `json:"age"`  // seconds since its first byte
}

// Connections is a list of the connections of one worker.
type Connections struct {
	Slot        int          `json:"slot"`
	PID         int          `json:"pid"`
	Total       int          `json:"total"`       // including those not listed
	Connections []Connection `json:"connections"` // downloads by bytes left, then the others by age; at most MaxConnections
}

// The states of a connection.
const (
	ConnIdle      = "idle"      // no request under way
	ConnReceiving = "receiving" // receiving a request
	ConnSending   = "sending"   // sending a response
	ConnEnding    = "ending"    // last response sent, waiting for the client to close
)

// Connection is a client connection.
type Connection struct {
	Client   string  `json:"client"`             // address and port
	Protocol string  `json:"protocol,omitempty"` // such as "HTTP/1.1"
	Streams  int     `json:"streams,omitempty"`  // requests open on an HTTP/2 connection; Line is of one of them
	State    string  `json:"state"`
	Line     string  `json:"line,omitempty"` // method and target of the request under way, at most MaxLine bytes
	Sent     int64   `json:"sent"`           // bytes of the body sent so far
	Size     int64   `json:"size"`           // bytes of the body; 0: unknown
	Age      float64 `json:"age"`            // seconds since the request began, or else since the state began
}

// Outcome is the result of an order: reload, stop or scale.
type Outcome struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"` // one line
}
