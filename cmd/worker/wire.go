package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/conn"
	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
	"phalanx/internal/site"
	"phalanx/internal/supervise"
)

// serveWith serves the slot's socket with the engine that was asked for.
func serveWith(opts options.WorkerOptions, root *site.Root, c *control) error {
	var requests atomic.Uint64
	watch := monitor(opts, c.channel, &requests)
	defer watch.stop()
	log := os.NewFile(supervise.LogFD, "log")
	if !opts.EventLoop() {
		cfg := config(opts, uncached{root}, c)
		cfg.Conn.Requests = &requests
		cfg.Log = journal(opts, log)
		return serve.New(cfg).Run(supervise.ListenFD, c.drain)
	}
	cache := site.NewCache(root, time.Duration(opts.FileCache))
	defer cache.Close()
	buffer := logging.NewBuffer(log)
	defer buffer.Close()
	cfg := config(opts, cached{uncached{root}, cache}, c)
	cfg.Conn.Requests = &requests
	cfg.Tick = cache.Sweep
	if every := beatEvery(opts); every > 0 {
		cfg.Beat, cfg.BeatEvery = watch.alive, every
	}
	cfg.Log, cfg.Flush = journal(opts, log, logging.Through(buffer)), buffer.Flush
	buffer.Note = func(dropped int) {
		cfg.Log.Warn().Int("dropped", dropped).Msg("log lines dropped: their reader did not keep up")
	}
	loop, err := serve.NewLoop(cfg)
	if err != nil {
		return err
	}
	return loop.Run(supervise.ListenFD, c.drain)
}

func config(opts options.WorkerOptions, files conn.Site, c *control) serve.Config {
	var header []string
	for _, field := range opts.Header {
		header = append(header, string(field))
	}
	return serve.Config{
		Conn: conn.Config{
			Site:      files,
			Server:    "phalanx/" + options.Version,
			KeepAlive: time.Duration(opts.KeepAlive),
			Expires:   time.Duration(opts.Expires),
			Single:    opts.Model == options.Serial,
			List:      opts.List,
			CORS:      opts.CORS,
			Header:    header,
		},
		Recv:     int(opts.Recv),
		Leave:    func() serve.Leaving { return c.leaving },
		Report:   c.report,
		Legacies: c.legacies,
		Heirs:    c.heirs,
		Finish:   c.finish,
		Verbose:  opts.Verbose > 0,
	}
}

// journal returns the log, in which each line names the worker.
func journal(opts options.WorkerOptions, file *os.File, more ...logging.Option) zerolog.Logger {
	more = append(more, logging.NoColor(os.Getenv("NO_COLOR") != ""))
	log := logging.New(file, string(opts.LogFormat), opts.Verbose, more...)
	return log.With().Int("slot", opts.Slot).Int("pid", os.Getpid()).Logger()
}

// policy says what of the root is shown.
func policy(o options.Options) site.Policy {
	p := site.Policy{Dotfiles: o.Dotfiles, List: o.List, Fallback: string(o.SPA)}
	for _, name := range o.Index {
		p.Index = append(p.Index, string(name))
	}
	for _, rule := range o.Cache {
		p.Cache = append(p.Cache, site.Rule(rule))
	}
	return p
}

// uncached lets a connection open files of the root: conn knows no site, and
// site no connection.
type uncached struct{ root *site.Root }

func (u uncached) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := u.root.Open(path, codings)
	return f, status
}

func (u uncached) List(path, query []byte, json bool) (conn.Stream, proto.Status) {
	l, status := u.root.List(path, query, json)
	return l, status
}

func (u uncached) Page(s proto.Status) (conn.File, bool) {
	f, ok := u.root.Page(s)
	return f, ok
}

// cached does the same with a memory of the files, for one goroutine.
type cached struct {
	uncached
	cache *site.Cache
}

func (c cached) Page(s proto.Status) (conn.File, bool) {
	f, ok := c.cache.Page(s)
	return f, ok
}

func (c cached) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := c.cache.Open(path, codings)
	return f, status
}
