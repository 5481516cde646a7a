package main

import (
	"os"
	"runtime"
	"time"

	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// serve runs the pool until it has stopped. s is nil unless files are shared.
func serve(args []string, stdout, stderr *os.File, s *sharing) error {
	before, err := inherited()
	if err != nil {
		return err
	}
	read := func() (options.Options, string, error) { return s.settings(args) }
	o, worker, err := read()
	if err != nil {
		return err
	}
	if o.Check {
		return check(o, stdout)
	}
	hungUp := hangUps(before)
	signals := upgrade.Catch()
	defer signals.Stop()
	out, err := newStderr(o, s.stderr(stderr))
	if err != nil {
		return err
	}
	defer out.close()
	log, alert := out.log, out.alert
	orphans, stop := orphanNews(os.Getpid())
	defer stop()
	slots := o.Slots(runtime.GOMAXPROCS(0))
	sockets, err := s.open(o, slots, before)
	if err != nil {
		return err
	}
	defer sockets.Close()
	monitor, err := newMonitor(o, before, sockets.Addresses(), stdout, log, alert)
	if err != nil {
		return err
	}
	defer monitor.close()
	spawner := supervise.Spawner{
		Path: worker, Args: workerArgs(o, sockets), Env: environment(o),
		Sockets: files(sockets), Log: out.file, Board: monitor.board, Bell: monitor.bell, Records: records(o),
	}
	tellLost(log, o)
	pool := supervise.Config{
		Slots: slots, Version: options.Version, Worker: worker,
		Spawn: spawner.Spawn, Reload: func() (supervise.Settings, error) { return reloaded(read, o, spawner, sockets, monitor) },
		Signals: signals.C, Orphans: orphans, Log: log, HungUp: hungUp,
		LameDuck: time.Duration(o.LameDuck), DrainTimeout: time.Duration(o.DrainTimeout), HangTimeout: time.Duration(o.HangTimeout),
		OnServing: func(workers int) { announce(log, o, sockets.Addresses(), workers) },
		OnDrain:   func() { refuse(log, sockets) },
		OnReopen:  monitor.Log.Reopen, OnProgress: drainProgress{out.status}.show,
		Queue: sockets.Queue, Alert: alert, Deaths: out.deaths(o), Sockets: scalable(o, sockets),
	}
	enableUpgrade(&pool, before, upgrade.Upgrader{
		Name: os.Args[0], Args: args, Env: os.Environ(), Settings: func() error { _, _, err := reread(read, o); return err },
		Sockets: sockets, Board: monitor.Board, Admin: monitor.descriptor(), Bell: int(monitor.bell.Fd()), Log: monitor.Log,
		Started: monitor.Started, Signals: signals, Nohup: hungUp == nil,
	})
	monitor.attach(&pool)
	s.attach(&pool, sockets.Addresses()[0].Port, monitor)
	notifySystemd(&pool)
	return supervise.Run(pool)
}

// enableUpgrade makes the master upgradable, and resumes the pool after an upgrade.
func enableUpgrade(pool *supervise.Config, before *upgrade.Carried, u upgrade.Upgrader) {
	if before != nil {
		pool.Resume = &before.Pool
	}
	if path, err := executable(); err == nil {
		u.Path = path
		pool.Check, pool.Exec = u.Check, u.Exec
	}
}
