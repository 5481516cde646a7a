package main

import (
	"os"
	"time"

	"phalanx/internal/listen"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// serve runs the pool until it has stopped. s is nil except for the command share.
func serve(args []string, stdout, stderr *os.File, s *sharing) error {
	before, err := inherited()
	if err != nil {
		return err
	}
	hungUp := hangUps(before)
	signals := upgrade.Catch()
	defer signals.Stop()
	read := func() (options.Options, string, error) { return s.settings(args) }
	o, worker, err := firstSettings(read, before != nil, signals)
	if err != nil {
		return err
	}
	if o.Check {
		return check(o, stdout)
	}
	reduced := reduce(o)
	out, err := newStderr(o, s.stderr(stderr), before)
	if err != nil {
		return err
	}
	defer out.close()
	exits, stop := childExits(os.Getpid())
	defer stop()
	sockets, err := s.open(o, slots(o), before)
	if err != nil {
		return err
	}
	defer sockets.Close()
	certs, err := newCertificates(o, sockets.Addresses(), before, out)
	if err != nil {
		return err
	}
	defer certs.stop()
	monitor, err := newMonitor(o, before, sockets.Addresses(), certs, stdout, out.log, out.alert)
	if err != nil {
		return err
	}
	defer monitor.close()
	spawner := newSpawner(o, worker, sockets, out, monitor, reduced)
	pool := supervise.Config{
		Settings: poolSettings(o, spawner),
		Version:  options.Version, Reattach: spawner.Reattach, Reload: func() (supervise.Settings, error) { return reloaded(read, o, spawner, sockets, monitor, certs) },
		Signals: signals.C, ChildExits: exits, Log: out.log, HungUp: hungUp,
		LameDuck: time.Duration(o.LameDuck), DrainTimeout: time.Duration(o.DrainTimeout), HangTimeout: time.Duration(o.HangTimeout),
		OnServing: func(workers int) { announce(out.log, o, sockets.Addresses(), workers); certs.announce(o, before, out) },
		OnDrain:   func() { refuse(out.log, sockets) }, OnQueuesEmpty: func() { sockets.Close() }, OnReopen: monitor.Log.Reopen, OnProgress: func(all []supervise.Progress) bool { return out.status.Show(describe(all)) },
		Queue: sockets.Queue, Alert: out.alert, Deaths: out.deaths(o), Sockets: scalable(o, sockets),
	}
	enableUpgrade(&pool, before, upgrade.Upgrader{
		Name: os.Args[0], Args: args, Env: os.Environ(), Settings: func() error { return certs.settings(reread(read, o, sockets.Addresses())) }, Keys: certs.state,
		Sockets: sockets, Board: monitor.Board, Admin: monitor.descriptor(), Doorbell: monitor.doorbell(), Log: monitor.Log, Leave: monitor.leave(out.leave),
		Started: monitor.Started, Signals: signals, Nohup: hungUp == nil, Execve: reduced.execve,
	})
	monitor.attach(&pool)
	certs.attach(&pool)
	s.attach(&pool, sockets.Addresses(), certs, monitor)
	notifySystemd(&pool, sockets)
	return supervise.Run(pool)
}

// warn warns about valid options that may not do what the operator expects.
func warn(o options.Options, alert func(string)) {
	warnExposed(o, alert)
	if text := o.Uncounted(); text != "" {
		alert(text)
	}
}

// newSpawner returns the spawner of workers with these options.
func newSpawner(o options.Options, worker string, sockets *listen.Set, out *standardError, m *monitor, r reduced) supervise.Spawner {
	if r.err != nil {
		out.log.Info().Err(r.err).Msg("master keeps all capabilities")
	}
	spawner, err := configured(supervise.Spawner{
		Sockets: files(sockets), Log: out.workers, Board: m.board, Bell: m.bell, Render: m.readmes.render,
	}, o, worker, sockets, m)
	if err != nil {
		out.log.Info().Err(err).Msg("connection rescue not available; connections of a killed worker will be lost")
	}
	return spawner
}

// enableUpgrade lets the pool upgrade the master, and resume after an upgrade.
func enableUpgrade(pool *supervise.Config, before *upgrade.Carried, u upgrade.Upgrader) {
	if before != nil {
		pool.Resume = &before.Pool
	}
	if path, err := executable(); err == nil {
		u.Path = path
		pool.Check, pool.Exec = u.Check, u.Exec
	}
}
