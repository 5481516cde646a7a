package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"phalanx/internal/listen"
	"phalanx/internal/logging"
	"phalanx/internal/observe/status"
	"phalanx/internal/options"
	"phalanx/internal/share"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// sharing is the state of the command share. It is nil for the server, and its methods then do
// the default.
type sharing struct {
	share   *options.Share
	options options.Options // made once, because of the generated credentials
	session *share.Session
	log     *os.File // log of master and workers, which the session reads
	begun   bool
	until   time.Time // when it stops, by the wall clock; zero: no time limit
	limit   sync.WaitGroup
	endWait func() // ends the wait for until; nil: nothing waits
}

// runShare runs the command share.
func runShare(c *options.Command, args []string, stdout, stderr *os.File) error {
	s := &sharing{share: c.Share, options: c.Options}
	if err := s.prepare(); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	s.log = write
	out := logging.NewWriter(stdout, logging.Auto)
	defer out.Close()
	s.session = s.newSession(out, stdout)
	var reading sync.WaitGroup
	reading.Go(func() { s.session.Read(read) })
	err = serve(args, stdout, stderr, s)
	if s.endWait != nil {
		s.endWait()
		s.limit.Wait()
	}
	write.Close()
	_ = read.SetReadDeadline(time.Now().Add(logTime)) // a keeper may still have it open
	reading.Wait()
	read.Close()
	if s.begun {
		s.session.End()
	}
	return err
}

// logTime is the longest wait for the last lines of the log.
const logTime = time.Second

// prepare completes the options: shared paths, and generated credentials and prefix.
func (s *sharing) prepare() (err error) {
	o := &s.options
	if o.Base, o.Shared.Paths, err = options.CheckShare(s.share.Paths, *o); err != nil {
		return err
	}
	if o.Shared.Credentials = s.share.Password; s.share.Password == options.MakePassword {
		o.Shared.Credentials = share.NewCredentials()
	}
	o.Shared.Prefix = string(o.Prefix)
	if s.share.RandomPath {
		o.Shared.Prefix += share.NewPrefix()
	}
	if s.share.For > 0 {
		s.until = time.Now().Add(s.share.For).Round(0)
	}
	o.Verbose, o.LogFormat = 1, options.LogJSON // what the session parses
	return nil
}

func (s *sharing) newSession(out io.Writer, stdout *os.File) *share.Session {
	cfg := share.Config{
		Out: out, Prefix: s.options.Shared.Prefix, Credentials: s.options.Shared.Credentials, Until: s.until, Now: time.Now,
		What: s.options.Shared.Paths, Coloured: os.Getenv("NO_COLOR") == "",
	}
	if cfg.What == nil {
		cfg.What = []string{string(s.options.Base)}
	}
	if term.IsTerminal(int(stdout.Fd())) && canMove(os.Getenv("TERM")) {
		cfg.Width = func() int { return logging.Width(stdout) }
	} else {
		cfg.Coloured = false
	}
	return share.New(cfg)
}

// settings returns the options and the path of the worker. args is used only without share.
func (s *sharing) settings(args []string) (o options.Options, worker string, err error) {
	if s == nil {
		return settings(args)
	}
	return checked(s.options)
}

// stderr returns the file that master and workers log to.
func (s *sharing) stderr(stderr *os.File) *os.File {
	if s == nil {
		return stderr
	}
	return s.log
}

// open opens the listening sockets. share tries the next ports if the default port is in use.
func (s *sharing) open(o options.Options, slots int, before *upgrade.Carried) (*listen.Set, error) {
	const ports = 20
	for n := 0; ; n++ {
		sockets, err := open(o, slots, before)
		if s == nil || s.share.PortGiven || !o.Addresses()[0].Short || !errors.Is(err, unix.EADDRINUSE) || n > ports {
			return sockets, err
		}
		if o.Port++; n == ports {
			o.Port = 0
		}
		if len(o.Listen) > 0 {
			o.Listen = slices.Clone(o.Listen)
			o.Listen[0].Port = int(o.Port)
		}
	}
}

// waitUntil waits for a time of the wall clock, and reports whether it has come before the end of
// the context. Timers stand still while the machine is suspended, so it looks every second.
func waitUntil(ctx context.Context, until time.Time, now func() time.Time) bool {
	for {
		left := until.Sub(now().Round(0))
		if left <= 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(min(left, time.Second)):
		}
	}
}

// attach makes the session begin and end with the pool.
func (s *sharing) attach(pool *supervise.Config, listening []listen.Address, certs *certificates, m *monitor) {
	if s == nil {
		return
	}
	serving, drain := pool.OnServing, pool.OnDrain
	pool.OnServing = func(workers int) {
		serving(workers)
		s.begun = true
		s.session.Begin(s.addresses(listening), certs.fingerprint(), func() []share.Transfer { return transfers(m) })
		if !s.until.IsZero() {
			ctx, cancel := context.WithCancel(context.Background())
			s.endWait = cancel
			s.limit.Go(func() {
				if waitUntil(ctx, s.until, time.Now) {
					m.Controller.Stop(ctx)
				}
			})
		}
	}
	pool.OnDrain = func() {
		drain()
		if s.begun {
			s.session.Draining()
		}
	}
	pool.Exec, pool.Check = nil, nil
	pool.NotUpgradable = "share cannot be upgraded"
}

// addresses returns the URLs to open, and unix sockets.
func (s *sharing) addresses(listening []listen.Address) (found []share.Address) {
	all, err := share.Interfaces()
	if err != nil {
		all = nil // localhost remains
	}
	path := s.options.Shared.Prefix + "/"
	if paths := s.options.Shared.Paths; len(paths) == 1 {
		path += share.Encoded(filepath.Base(paths[0]))
	}
	for _, a := range listening {
		if a.Path != "" {
			found = append(found, share.Address{URL: a.String(), For: "this machine"})
			continue
		}
		url := func(host string) string {
			at := a
			at.Host = host
			return strings.TrimSuffix(at.URL(), "/") + path
		}
		found = append(found, share.Addresses(url, a.Host, all)...)
	}
	return found
}

// transfers returns the responses under way in all workers. Idle workers are skipped.
func transfers(m *monitor) []share.Transfer {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	view, err := m.Controller.View(ctx, nil)
	if err != nil {
		return nil
	}
	var all []share.Transfer
	for _, w := range view.Workers {
		seen, ok := m.Board.Look(w.Row)
		if w.PID == 0 || ok && seen.Active <= seen.Idle {
			continue
		}
		list, err := m.Connections(w.Slot, w.PID)
		if err != nil {
			continue // it has exited in the meantime
		}
		for _, c := range list.Connections {
			if method, target, _ := strings.Cut(c.Line, " "); c.State == status.ConnSending && method == "GET" {
				all = append(all, share.Transfer{Client: c.Client, Target: target, Sent: c.Sent, Size: c.Size})
			}
		}
	}
	return all
}
