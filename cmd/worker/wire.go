package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/accesslog"
	"phalanx/internal/certificate"
	"phalanx/internal/conn"
	"phalanx/internal/control"
	"phalanx/internal/ipc"
	"phalanx/internal/listen"
	"phalanx/internal/logging"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/options"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
	"phalanx/internal/serve/eventloop"
	"phalanx/internal/serve/netpoll"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// listenTo starts receiving the master's orders and the signals that order a drain.
func listenTo(channel *ipc.Channel, opts options.WorkerOptions, listeners []serve.Listener, passwords *website.Passwords) *control.Control {
	// Signals are caught as long as this process exists: a late one must not kill it, which would
	// look like a death.
	signals := make(chan os.Signal, 1) // they all mean the same
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	var own []int
	for _, l := range listeners {
		if !l.Foreign {
			own = append(own, l.FD)
		}
	}
	cfg := control.Config{
		Signals:  signals,
		Refusing: func() bool { return slices.ContainsFunc(own, listen.Refusing) },
	}
	if len(own) > 0 {
		cfg.Refuse = func() error { return refuse(own) }
	}
	if tls := secure(listeners); tls || passwords != nil {
		cfg.Use = func(b *certificate.Bundle) (serve.Order, error) {
			return credentials(b, passwords, tls, opts.SpeaksHTTP2())
		}
	}
	return control.New(channel, cfg)
}

func refuse(sockets []int) error {
	var errs []error
	for _, fd := range sockets {
		errs = append(errs, listen.RefuseNew(fd))
	}
	return errors.Join(errs...)
}

// listeners returns the listening sockets that the command line describes. A worker that only
// takes over connections while the pool stops has none.
func listeners(sockets []options.Socket, unsent int) ([]serve.Listener, error) {
	var all []serve.Listener
	for i, s := range sockets {
		l := serve.Listener{FD: ipc.ListenerFD(i), Secure: s.Secure, Shared: s.Shared, Foreign: s.Foreign}
		// The mode is shared with the master, where the socket is non-blocking too.
		if err := cmp.Or(syscall.SetNonblock(l.FD, true), boundUnsent(l, unsent), unlinger(l)); err != nil {
			return nil, fmt.Errorf("listening socket %d: %w", i, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// boundUnsent limits the unsent bytes that the kernel queues for a client. Connections inherit
// the limit from the listening socket. 0 resets the limit of an earlier worker of the slot.
func boundUnsent(l serve.Listener, most int) error {
	if now, err := unix.GetsockoptInt(l.FD, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); l.Shared || now == most || most == 0 && err != nil {
		return nil
	}
	return unix.SetsockoptInt(l.FD, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most)
}

// unlinger clears SO_LINGER, so that closing a connection does not block. Connections inherit
// it from the listening socket, on which a compromised earlier worker of the slot may have set
// it.
func unlinger(l serve.Listener) error {
	return unix.SetsockoptLinger(l.FD, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
}

// keep starts a keeper and maps the memory for rescue records, if the master has passed their
// descriptors.
func keep(opts options.WorkerOptions) (*rescue.Memory, error) {
	if !opts.Kept {
		return nil, nil
	}
	unix.CloseOnExec(ipc.RecordsFD)
	unix.CloseOnExec(ipc.LifelineFD)
	memory, err := rescue.Map(ipc.RecordsFD, true)
	if err != nil {
		return nil, err
	}
	return memory, rescue.Keep(ipc.LifelineFD)
}

// closers are called at the end, in reverse order.
type closers []func()

func (c *closers) close() {
	for _, f := range slices.Backward(*c) {
		f()
	}
}

// engine creates the configured engine and runs it, if begin reports that it has to serve.
func engine(opts options.WorkerOptions, listeners []serve.Listener, sites *website.Sites, passwords *website.Passwords, channel *ipc.Channel, c *control.Control, records *rescue.Memory, begin func() (bool, error)) error {
	row, closeRow, err := counters(opts.Row)
	if err != nil {
		return err
	}
	defer closeRow()
	log := os.NewFile(ipc.LogFD, "log")
	stop, err := follow(opts, log, sites, row.Row, c.Draining)
	if err != nil {
		return err
	}
	defer stop()
	access, err := accessLogger(opts, row.Ring)
	if err != nil {
		return err
	}
	limits := control.Limits{Requests: int64(opts.MaxRequests), Memory: int64(opts.MaxMemory)}
	every := control.BeatEvery(time.Duration(opts.HangTimeout))
	beat := every
	if opts.EventLoop() {
		beat = 0 // the loop sends heartbeats itself
	}
	watch := control.Watch(channel, beat, limits, row.Answered)
	defer watch.Stop()
	cfg := config(opts, listeners, sites, c)
	cfg.Row, cfg.Access, cfg.Conn.Passwords = row.Row, access, passwordChecker(passwords, row.Row)
	var run func([]serve.Listener, *serve.Orders) error
	if opts.EventLoop() {
		buffer := logging.NewBuffer(log)
		defer buffer.Close()
		cache := site.NewCache(sites.First(), time.Duration(opts.FileCache), serve.CachedFiles())
		defer cache.Close()
		use(&cfg, opts, sites, cached(sites, cache))
		cfg.Tick, cfg.Flush = cache.Sweep, buffer.FlushRetry
		if every > 0 {
			cfg.Beat, cfg.BeatEvery = watch.Alive, every
		}
		logTo(&cfg, opts, log, buffer)
		buffer.Alert = cfg.Alert
		loop, err := newLoop(cfg, c, records)
		if err != nil {
			return err
		}
		run = loop.Run
	} else {
		out := logWriter(opts, log)
		defer out.Close()
		use(&cfg, opts, sites, website.Uncached)
		logTo(&cfg, opts, log, out)
		run = netpoll.New(cfg).Run
	}
	if ok, err := begin(); !ok || err != nil {
		return err
	}
	return run(listeners, c.Orders())
}

// newLoop creates an event loop, which can take over the connections of a dead worker if there are
// records.
func newLoop(cfg serve.Config, c *control.Control, records *rescue.Memory) (*eventloop.Loop, error) {
	if records == nil {
		return eventloop.New(cfg)
	}
	cfg.Records = rescue.NewWriter(records)
	loop, err := eventloop.New(cfg)
	if err == nil {
		c.OnRescue(loop.Rescue)
	}
	return loop, err
}

// cached returns a function that makes a cached site of a root, where all sites share the limits
// of the first one's cache.
func cached(sites *website.Sites, first *site.Cache) func(*site.Root) conn.Site {
	return func(root *site.Root) conn.Site {
		cache := first
		if root != sites.First() {
			cache = first.Share(root)
		}
		return website.Cached(root, cache)
	}
}

// counters maps this worker's row of the scoreboard, or returns a private row. It closes the
// descriptor, which gives access to the rows of others.
func counters(row int) (mapped *scoreboard.Mapping, closeRow func(), err error) {
	if row < 0 {
		return &scoreboard.Mapping{Row: new(scoreboard.Row)}, func() {}, nil
	}
	mapped, err = scoreboard.Attach(ipc.BoardFD, row)
	unix.Close(ipc.BoardFD)
	if err != nil {
		return nil, nil, err
	}
	return mapped, func() { _ = mapped.Close() }, nil // the process is exiting
}

// accessLogger returns the logger of the access log, nil if it is off.
func accessLogger(opts options.WorkerOptions, mem []byte) (*accesslog.Logger, error) {
	if opts.AccessLog == "" || mem == nil {
		if mem != nil {
			unix.Close(ipc.BellFD)
		}
		return nil, nil
	}
	ring, err := accesslog.NewRing(mem)
	if err != nil {
		return nil, err
	}
	return accesslog.NewLogger(accesslog.Format(opts.AccessLogFormat), ring, ipc.BellFD), nil
}

func config(opts options.WorkerOptions, listeners []serve.Listener, sites *website.Sites, c *control.Control) serve.Config {
	cfg := serve.Config{
		Conn:   website.Config(opts.Options),
		Recv:   int(opts.Recv),
		Report: c.Report, QueuesEmpty: c.QueuesEmpty,
		Verbose: opts.Verbose > 0, SiteNames: sites.Names,

		MaxConnections: int(opts.MaxConnections), MaxPerClient: int(opts.MaxPerClient), Slot: opts.Slot,
		Rate:    serve.Rate{Bytes: int64(opts.Rate), After: int64(opts.RateAfter)},
		Proxied: opts.Proxied(),
	}
	cfg.Conn.SecurePort = securePort(opts.Plain, listeners)
	return cfg
}

// use makes connections use the sites. files makes the site of a root.
func use(cfg *serve.Config, opts options.WorkerOptions, sites *website.Sites, files func(*site.Root) conn.Site) {
	sites.Configure(&cfg.Conn, func(root *site.Root) conn.Site { return withAttempts(opts, files(root)) })
}

// logTo makes the engine write its log and alerts to a writer that does not block.
func logTo(cfg *serve.Config, opts options.WorkerOptions, file *os.File, to io.Writer) {
	cfg.Log = journal(opts, opts.Verbose, file, to)
	alerts := alerting(opts, file, to)
	cfg.Alert = func(line string) { alerts.Warn().Msg(line) }
}

// journal returns a logger whose lines have the worker's slot and pid. They are JSON; the
// master reads them from the pipe and formats them.
func journal(opts options.WorkerOptions, verbose int, file *os.File, to io.Writer) zerolog.Logger {
	log := logging.New(file, logging.JSON, verbose, logging.Options{Through: to})
	return log.With().Int("slot", opts.Slot).Int("pid", os.Getpid()).Logger()
}

// alerting returns a logger of what operators must know even in silent mode.
func alerting(opts options.WorkerOptions, file *os.File, to io.Writer) zerolog.Logger {
	return journal(opts, max(1, opts.Verbose), file, to)
}

// logWriter returns a writer that is safe for concurrent use.
func logWriter(opts options.WorkerOptions, file *os.File) *logging.Writer {
	return logging.NewWriterBy(file, func(to io.Writer) zerolog.Logger { return alerting(opts, file, to) })
}
