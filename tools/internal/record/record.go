// Package record stores runs of measurements. A run is a directory with a head
// (run.json: settings, machine, commit), a line for each measured cell
// (cells.jsonl) and the output of the tools (tool/). A line is appended when its
// cell has been measured and never changed, so an interrupted run resumes where
// it stopped. Everything that is published is computed from these files.
package record

import (
	"strings"
	"time"
)

// Kind says which question a run answers.
type Kind string

const (
	Models Kind = "models" // the models of Phalanx against each other
	Peers  Kind = "peers"  // Phalanx against other servers
	Faults Kind = "faults" // what clients notice when workers die or are replaced
	Costs  Kind = "costs"  // what observability costs the pool
)

// Experiment is one way of loading a server.
type Experiment string

const (
	Siege     Experiment = "siege"     // level: users
	KeepAlive Experiment = "keepalive" // wrk, level: connections
	Close     Experiment = "close"     // wrk with Connection: close, level: connections
	Rate      Experiment = "rate"      // vegeta, level: requests per second
	Progress  Experiment = "progress"  // level: clients, each as fast as it can
	StartStop Experiment = "startstop" // level: workers
	Download  Experiment = "download"  // one file; level: its size in GB
	Slow      Experiment = "slow"      // level: clients, each at a pace
	Idle      Experiment = "idle"      // level: connections
	KillKept  Experiment = "kill"      // SIGKILL of workers; level: clients that keep their connections
	KillClose Experiment = "killclose" // the same, a connection for each request
	Reload    Experiment = "reload"    // SIGHUP; level: clients that keep their connections

	// A file of each size, with wrk; level: KiB.
	SizeKept     Experiment = "size"           // connections kept open
	SizeClose    Experiment = "size-close"     // a connection for each request
	TLSSizeKept  Experiment = "tls-size"       // the same over TLS
	TLSSizeClose Experiment = "tls-size-close" // with a full handshake for each

	// Over TLS 1.3.
	TLSKept     Experiment = "tls"          // wrk, level: connections
	TLSFull     Experiment = "tls-full"     // a connection for each request, with a full handshake; level: clients
	TLSResumed  Experiment = "tls-resumed"  // the same, with a resumed handshake
	TLSDownload Experiment = "tls-download" // one file; level: its size in GB
	TLSIdle     Experiment = "tls-idle"     // level: connections

	// HTTP/2 over TLS 1.3, with h2load; level: connections.
	H2One     Experiment = "tls-h2-1"   // one request open on each
	H2Ten     Experiment = "tls-h2-10"  // ten
	H2Hundred Experiment = "tls-h2-100" // a hundred
)

// Streams returns how many requests an HTTP/2 experiment has open on each connection, or 0 if
// the experiment does not use HTTP/2.
func (e Experiment) Streams() int {
	return map[Experiment]int{H2One: 1, H2Ten: 10, H2Hundred: 100}[e]
}

// Sized reports whether an experiment compares files of several sizes, in KiB.
func (e Experiment) Sized() bool {
	return e == SizeKept || e == SizeClose || e == TLSSizeKept || e == TLSSizeClose
}

// Secure reports whether an experiment is over TLS.
func (e Experiment) Secure() bool { return e == TLSKept || strings.HasPrefix(string(e), "tls-") }

// Verbose is the pool with a line of log for each request, in a file.
const Verbose = "process-verbose"

// The pool with observability.
const (
	Seen   = "process-seen"   // with request IDs, and metrics scraped every second
	Logged = "process-logged" // with an access log in a file
)

// The floors: servers that send one fixed response and do nothing else.
const (
	FloorC  = "floor-c"
	FloorGo = "floor-go"
)

// Cell is a single measurement.
type Cell struct {
	Experiment Experiment `json:"experiment"`
	Server     string     `json:"server"` // a model of Phalanx or a peer
	Level      int        `json:"level"`  // the unit depends on the experiment
	Round      int        `json:"round"`  // from 1
}

// Metric names a measured number; each has a fixed unit.
type Metric string

const (
	Seconds       Metric = "seconds"     // s, as the client measured it
	Requests      Metric = "requests"    // answered
	PerSecond     Metric = "per_second"  // requests/s
	Failed        Metric = "failed"      // requests
	ErrorShare    Metric = "error_share" // 0 to 1
	Response      Metric = "response"    // s, as siege prints it: in steps of 0.01
	Longest       Metric = "longest"     // s
	Shortest      Metric = "shortest"    // s
	Concurrency   Metric = "concurrency" // requests under way, on average
	Mean          Metric = "mean"        // s
	P50           Metric = "p50"         // s
	P99           Metric = "p99"         // s
	P999          Metric = "p999"        // s
	CPU           Metric = "cpu"         // s of the server's processes
	CPUPerRequest Metric = "cpu_request" // s
	Whole         Metric = "whole"       // s of CPU of the whole machine, interrupts included

	WholePerRequest Metric = "whole_request"  // s, Whole for one request
	PSS             Metric = "pss"            // bytes, the maximum
	PSSIdle         Metric = "pss_idle"       // bytes, before the load
	Voluntary       Metric = "voluntary"      // context switches
	Involuntary     Metric = "involuntary"    // context switches
	Uneven          Metric = "uneven"         // busiest worker's connections over the mean
	UnevenCPU       Metric = "uneven_cpu"     // busiest worker's CPU time over the mean
	Others          Metric = "others"         // cores used by neither server nor client
	Bytes           Metric = "bytes"          // received by all clients
	Jain            Metric = "jain"           // fairness, 1/n to 1
	Stall           Metric = "stall"          // s, the longest time without data for a client
	Moving          Metric = "moving"         // clients that received data
	First           Metric = "first"          // s from launch to the first response
	Stop            Metric = "stop"           // s from Ctrl-C to the last exit
	CPUPerGB        Metric = "cpu_gb"         // s per 10^9 bytes
	Held            Metric = "held"           // connections that stayed open
	Closed          Metric = "closed"         // idle connections that the server closed
	PerConnection   Metric = "per_connection" // bytes of PSS
	Disturbed       Metric = "struck"         // times that the server was disturbed
)

// Disturbances is how often a server is disturbed in one cell.
const Disturbances = 5

// Result is the result of measuring a cell. It is void if Void says why the
// numbers do not count.
type Result struct {
	Cell
	Start   time.Time          `json:"start"` // UTC, whole seconds
	Void    string             `json:"void,omitempty"`
	Skipped string             `json:"skipped,omitempty"` // why it was not measured
	Values  map[Metric]float64 `json:"values,omitempty"`
	Workers []Worker           `json:"workers,omitempty"`
	Series  *Series            `json:"series,omitempty"`
}

// Worker is one process's share of a cell's work.
type Worker struct {
	CPU         float64 `json:"cpu"`         // s
	Connections float64 `json:"connections"` // open, on average
}

// Series is the progress of each client of a download over time.
type Series struct {
	Step  float64   `json:"step"`  // s between two samples
	Unit  int64     `json:"unit"`  // bytes
	Lines [][]int64 `json:"lines"` // for each client: units received at each step
}

// Valid reports whether the result counts.
func (r Result) Valid() bool { return r.Void == "" && r.Skipped == "" }

// Settings are what makes two runs comparable, cell by cell.
type Settings struct {
	Kind        Kind         `json:"kind"`
	Seconds     int          `json:"seconds"` // of a siege cell; other times scale with it
	Page        int64        `json:"page"`    // bytes of index.html
	Servers     []string     `json:"servers"`
	Experiments []Experiment `json:"experiments"`
	Cells       []Cell       `json:"cells"`
}

// Head describes a run.
type Head struct {
	Settings Settings          `json:"settings"`
	Commit   string            `json:"commit"`
	Clean    bool              `json:"clean"`  // no uncommitted change outside results/
	Binary   string            `json:"binary"` // hash of master and worker
	Date     time.Time         `json:"date"`   // UTC
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"` // of tools and servers
	Missing  map[string]string `json:"missing,omitempty"`
}

// Machine describes the machine of a run, without names and addresses.
type Machine struct {
	CPU     string            `json:"cpu"`
	Cores   int               `json:"cores"`
	Memory  int64             `json:"memory"` // bytes
	Kernel  string            `json:"kernel"`
	Files   uint64            `json:"files"` // RLIMIT_NOFILE
	Sysctls map[string]string `json:"sysctls"`
}

// Run is a head with its results, at most one for each cell.
type Run struct {
	Head    Head
	Results []Result
}
