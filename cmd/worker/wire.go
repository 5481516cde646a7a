package main

import (
	"os"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/serve"
	"phalanx/internal/site"
	"phalanx/internal/supervise"
)

func newWorker(opts options.WorkerOptions, root *site.Root) *serve.Worker {
	log := logging.New(os.NewFile(supervise.LogFD, "log"), string(opts.LogFormat), opts.Verbose,
		logging.NoColor(os.Getenv("NO_COLOR") != ""))
	var header []string
	for _, field := range opts.Header {
		header = append(header, string(field))
	}
	return serve.New(serve.Config{
		Conn: conn.Config{
			Site:      beneath{root},
			Server:    "phalanx/" + options.Version,
			KeepAlive: time.Duration(opts.KeepAlive),
			Expires:   time.Duration(opts.Expires),
			Single:    opts.Model == options.Serial,
			List:      opts.List,
			CORS:      opts.CORS,
			Header:    header,
		},
		Recv:    int(opts.Recv),
		Log:     log.With().Int("slot", opts.Slot).Int("pid", os.Getpid()).Logger(),
		Verbose: opts.Verbose > 0,
	})
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

// beneath lets a connection open files of the root: conn knows no site, and
// site no connection.
type beneath struct{ root *site.Root }

func (b beneath) Open(path []byte, codings proto.Codings) (conn.File, proto.Status) {
	f, status := b.root.Open(path, codings)
	return f, status
}

func (b beneath) List(path, query []byte, json bool) (conn.Stream, proto.Status) {
	l, status := b.root.List(path, query, json)
	return l, status
}

func (b beneath) Page(s proto.Status) (conn.File, bool) {
	f, ok := b.root.Page(s)
	return f, ok
}
