// Package serve moves bytes between sockets and connections, in one of two
// engines: eventloop has one thread around one epoll instance, netpoll a
// goroutine for each connection on Go's poller. Both accept from one listening
// socket and drive a conn.Conn for each client: they receive when the
// connection asks to read, send what it appended (small bodies in the same
// write as their head, large ones with sendfile), turn its deadline into a
// timer, and tell it when to drain. They decide nothing about HTTP.
//
// This package has what the engines share: configuration, counters, logs, and the
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
	Verbose   bool           // whether Log is written at all
	Copies    bool           // whether files may be compressed copies of the server's, which are counted
	Flush     func() bool    // writes an event loop's log at the end of a turn, if not nil; reports whether some is left
	// Tick is called by an event loop every few seconds, if not nil, as long as it
	// returns true or there is traffic.
	Tick func() bool
	// Beat is called by an event loop once each BeatEvery, from inside the loop,
	// if not nil, as the heartbeat.
	Beat      func()
	BeatEvery time.Duration
	// Clock reads the calendar and a monotonic clock; nil: the system's.
	Clock func() (wall time.Time, mono time.Duration)
	// MaxConnections is how many connections all workers of the pool together may have;
	// 0: as many as leave a reserve of descriptors for files.
	MaxConnections int
	// MaxPerClient is how many of them one client may have, see [Limits.Share]; 0: any.
	// Proxies that Conn.Trust names may have any.
	MaxPerClient int
	Slot         int // of the worker, from 0
	// Rate bounds how fast each connection sends.
	Rate Rate
	// Proxied are the clients whose connections begin with a header of the PROXY
	// protocol; nil: nobody's do.
	Proxied *clientip.Networks
	// Alert reports to operators, even in silent mode, if not nil: one line without
	// its newline. It does not wait.
	Alert func(line string)
	// Access is the access log; nil: there is none.
	Access *accesslog.Logger
	// Row has the worker's counters; nil: nothing is counted.
	Row *scoreboard.Row
	// Records are what an event loop writes for the worker that rescues its
	// connections if it is killed; nil: they are not rescued.
	Records *rescue.Writer
	// Report is called each second while the worker drains, if not nil, with the
	// connections and the bytes of responses that are left. It does not wait.
	Report func(connections int, bytes int64)
	// QueuesEmpty is called once, if not nil: when a drain has begun, nothing waits in
	// the accept queues any more, and the listening sockets are closed. It does not wait.
	QueuesEmpty func()
}

// InlineMax is the size in bytes up to which a body is copied behind its head
// and sent with it: one write of both costs less than a write and a sendfile.
// What is kept in memory has no file that could be sent in another way.
const InlineMax = site.MaxBody

// ReportEvery is the interval at which a draining worker reports its progress.
const ReportEvery = time.Second

// TextSize is how many bytes of responses are made at once: they collect up to 64 KiB
// before conn asks for them to be sent, and one head and one small body may still
// follow.
const TextSize = 64<<10 + InlineMax + 8<<10

// OutSize is the size of an output buffer, which holds responses, or the records in
// which they are sealed and a few before them (tlsconn.MaxSealed).
const OutSize = TextSize + (TextSize/1024+2)*32 + 2<<10

// ProgressEvery is how often a slow client's progress is checked. The kernel wakes a
// writer only when a third of the socket's buffer is free, which may take minutes;
// the number of unacknowledged bytes shows whether the client takes any at all.
const ProgressEvery = time.Second
