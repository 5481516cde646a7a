// Package serve moves bytes between sockets and connections, in one of two engines: eventloop
// has one loop around one epoll instance, netpoll a goroutine for each connection on Go's
// poller. Both accept from the listening sockets of a slot and drive a [Protocol] for each
// client: they receive when the connection asks to read, send what it appended (small bodies in
// the same write as their head, large ones with sendfile), turn its deadline into a timer, and
// tell it when to drain. They know nothing about HTTP.
//
// This package has what the engines share: configuration, counters, logs, limits, and the
// classification of the kernel's errors.
package serve

import (
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/accesslog"
	"phalanx/internal/clientip"
	"phalanx/internal/conn"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/rescue"
	"phalanx/internal/site"
)

// Config is the configuration of a worker's engine.
type Config struct {
	Conn      conn.Config    // for all connections; Conn.Single makes the worker serial
	Recv      int            // bytes of each recv()
	Log       zerolog.Logger // requests at Info, connections at Debug, each recv at Trace
	SiteNames []string       // by the numbers of sites; nil: there is one for all hosts
	Verbose   bool           // Log is written
	// Flush, if not nil, writes an event loop's log at the end of a turn. If lines remain, it returns when
	// to write them; otherwise 0.
	Flush func() (retry time.Duration)
	// Tick, if not nil, is called by an event loop every few seconds while it returns true or
	// there is traffic.
	Tick func() bool
	// Beat, if not nil, is the heartbeat: an event loop calls it every BeatEvery.
	Beat      func()
	BeatEvery time.Duration
	// Clock returns the wall clock and a monotonic clock; nil: the system's.
	Clock func() (wall time.Time, mono time.Duration)
	// MaxConnections is the limit of connections of the pool; 0: by open files, with a reserve
	// for files being sent.
	MaxConnections int
	// MaxPerClient is the limit of connections of one client, see [Limits.Share]; 0: none.
	// Proxies in Conn.Trust are exempt.
	MaxPerClient int
	Slot         int // of the worker, from 0
	// Rate is the bandwidth limit of each connection.
	Rate Rate
	// Proxied are the networks whose connections begin with a PROXY header; nil: none.
	Proxied *clientip.Networks
	// Alert, if not nil, reports a line without newline to the operator, even in silent mode.
	// It does not block.
	Alert func(line string)
	// Access is the access log; nil: there is none.
	Access *accesslog.Logger
	// Row is the worker's row of the scoreboard; nil: nothing is counted.
	Row *scoreboard.Row
	// Records are an event loop's records of its connections, for rescue; nil: they are not
	// rescued.
	Records *rescue.Writer
	// Report, if not nil, is called each second while the worker drains, with the remaining
	// connections and bytes of responses. It does not block.
	Report func(connections int, bytes int64)
	// QueuesEmpty, if not nil, is called once in a drain, after the accept queues were emptied
	// and the listening sockets closed. It does not block.
	QueuesEmpty func()
}

// InlineMax is the size in bytes up to which a body is copied after its head and sent with it:
// one write costs less than a write and a sendfile. Bodies in memory must not be larger, since
// they cannot be sent with sendfile.
const InlineMax = site.MaxBody

// ReportEvery is the interval at which a draining worker reports its progress.
const ReportEvery = time.Second

// TextSize is the largest number of bytes of responses that are made at once: one head and one
// small body may follow those at which conn flushes.
const TextSize = conn.FlushAt + InlineMax + 8<<10

// PieceMax is how many bytes of responses are encrypted at once, files included: four full records.
const PieceMax = 64 << 10

// OutSize is the size of an output buffer in bytes. It holds TextSize bytes as TLS records
// (tlsconn.MaxSealed) and a few records before them.
const OutSize = TextSize + (TextSize/1024+2)*32 + 2<<10

// ProgressEvery is the interval at which a slow client's progress is checked, by the number of
// unacknowledged bytes. The kernel wakes a writer only when a third of the socket's buffer is
// free, which may take minutes.
const ProgressEvery = time.Second

// lingerBytes returns how many bytes of the last response a client of HTTP/1.1 must have acknowledged within
// a conn.LingerTimeout for the connection to linger for another one, if the kernel still has some: as many as
// a draining worker requires.
func (cfg *Config) lingerBytes() int64 {
	return int64(cfg.Conn.Rate(true)) * int64(conn.LingerTimeout/time.Second)
}
