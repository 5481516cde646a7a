package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/accesslog"
	"phalanx/internal/conn"
	"phalanx/internal/control"
	"phalanx/internal/ipc"
	"phalanx/internal/listen"
	"phalanx/internal/logging"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/options"
	"phalanx/internal/serve"
	"phalanx/internal/serve/eventloop"
	"phalanx/internal/serve/netpoll"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// stopSignals returns the signals that ask for the end. A signal that comes
// after mute asks for what is done already, and must not make a death of a
// clean end.
func stopSignals() (signals <-chan os.Signal, mute func()) {
	c := make(chan os.Signal, 1) // they all say the same
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	return c, func() {
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		signal.Stop(c)
		close(c)
	}
}

// listenTo listens to the master.
func listenTo(channel *ipc.Channel, slot int, signals <-chan os.Signal) *control.Control {
	return control.New(channel, control.Config{
		Slot:     slot,
		Signals:  signals,
		Refuse:   func() error { return listen.RefuseNew(ipc.ListenFD) },
		Refusing: func() bool { return listen.Refusing(ipc.ListenFD) },
	})
}

// serveWith serves the slot's socket with the engine that was asked for.
func serveWith(opts options.WorkerOptions, root *site.Root, channel *ipc.Channel, c *control.Control) error {
	row, closeRow, err := counters(opts.Row)
	if err != nil {
		return err
	}
	defer closeRow()
	access, err := pen(opts, row.Ring)
	if err != nil {
		return err
	}
	limits := control.Limits{Requests: int64(opts.MaxRequests), Memory: int64(opts.MaxMemory)}
	every := control.BeatEvery(time.Duration(opts.HangTimeout))
	beat := every
	if opts.EventLoop() {
		beat = 0 // the loop's own
	}
	watch := control.Watch(channel, beat, limits, row.Answered)
	defer watch.Stop()
	log := os.NewFile(ipc.LogFD, "log")
	if !opts.EventLoop() {
		cfg := config(opts, website.Uncached(root), c)
		cfg.Row, cfg.Access = row.Row, access
		cfg.Log = journal(opts, log)
		return netpoll.New(cfg).Run(ipc.ListenFD, c.Orders())
	}
	cache := site.NewCache(root, time.Duration(opts.FileCache))
	defer cache.Close()
	buffer := logging.NewBuffer(log)
	defer buffer.Close()
	cfg := config(opts, website.Cached(root, cache), c)
	cfg.Row, cfg.Access = row.Row, access
	cfg.Tick = cache.Sweep
	if every > 0 {
		cfg.Beat, cfg.BeatEvery = watch.Alive, every
	}
	cfg.Log, cfg.Flush = journal(opts, log, logging.Through(buffer)), buffer.Flush
	buffer.Note = func(dropped int) {
		cfg.Log.Warn().Int("dropped", dropped).Msg("log lines dropped: their reader did not keep up")
	}
	loop, err := eventloop.New(cfg)
	if err != nil {
		return err
	}
	return loop.Run(ipc.ListenFD, c.Orders())
}

// counters maps this worker's row of the scoreboard, or makes one that nobody
// else sees.
func counters(row int) (seat *scoreboard.Seat, closeRow func(), err error) {
	if row < 0 {
		return &scoreboard.Seat{Row: new(scoreboard.Row)}, func() {}, nil
	}
	if seat, err = scoreboard.Attach(ipc.BoardFD, row); err != nil {
		return nil, nil, err
	}
	return seat, func() { _ = seat.Close() }, nil // the process ends
}

// pen writes the access log; nil if there is none.
func pen(opts options.WorkerOptions, mem []byte) (*accesslog.Pen, error) {
	if opts.AccessLog == "" || mem == nil {
		return nil, nil
	}
	ring, err := accesslog.NewRing(mem)
	if err != nil {
		return nil, err
	}
	return accesslog.NewPen(accesslog.Format(opts.AccessLogFormat), ring, ipc.BellFD), nil
}

func config(opts options.WorkerOptions, files conn.Site, c *control.Control) serve.Config {
	return serve.Config{
		Conn:    website.Config(opts.Options, files),
		Recv:    int(opts.Recv),
		Report:  c.Report,
		Verbose: opts.Verbose > 0,
	}
}

// journal returns the log, in which each line names the worker.
func journal(opts options.WorkerOptions, file *os.File, more ...logging.Option) zerolog.Logger {
	more = append(more, logging.NoColor(os.Getenv("NO_COLOR") != ""))
	log := logging.New(file, string(opts.LogFormat), opts.Verbose, more...)
	return log.With().Int("slot", opts.Slot).Int("pid", os.Getpid()).Logger()
}
