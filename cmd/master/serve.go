package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// serve runs the pool until it has ended.
func serve(args []string, stdout, stderr *os.File) error {
	before, err := inherited()
	if err != nil {
		return err
	}
	o, worker, err := settings(args)
	if err != nil || o.Check {
		return err
	}
	hungUp := terminal(before)
	signals, deaf := heeded()
	defer deaf()
	logFile, err := duplicate(stderr)
	if err != nil {
		return err
	}
	defer logFile.Close()
	log := logging.New(logFile, string(o.LogFormat), o.Verbose, logging.NoColor(os.Getenv("NO_COLOR") != ""))
	alert := alerts(o.LogFormat, logFile)
	orphans, stop := orphaned(os.Getpid())
	defer stop()
	slots := o.Slots(runtime.GOMAXPROCS(0))
	sockets, err := open(o, slots, before)
	if err != nil {
		return err
	}
	defer sockets.Close()
	sight, err := newSight(o, before, sockets.Port(), stdout, log, alert)
	if err != nil {
		return err
	}
	defer sight.close()
	spawner := supervise.Spawner{
		Path: worker, Args: o.WorkerArgs, Env: environment(o),
		Socket: sockets.File, Log: logFile, Board: sight.board, Bell: sight.bell,
	}
	pool := supervise.Config{
		Slots: slots, Version: options.Version, Worker: worker,
		Spawn: spawner.Spawn, Reload: func() (supervise.Settings, error) { return reloaded(args, o, spawner, sight.try, sight.heed) },
		Signals: signals, Orphans: orphans, Log: log, HungUp: hungUp,
		LameDuck: time.Duration(o.LameDuck), DrainTimeout: time.Duration(o.DrainTimeout), HangTimeout: time.Duration(o.HangTimeout),
		OnServing: func() { announce(log, o, sockets.Port(), slots) },
		OnDrain:   func() { refuse(log, sockets) },
		OnReopen:  sight.Log.Reopen,
		OnWait:    (&waiting{out: screen(stderr, o.Verbose)}).show,
		Queue:     sockets.Queue, Alert: alert,
	}
	if o.Model == options.Process {
		pool.Sockets = sockets
	}
	replaceable(&pool, before, upgrade.Upgrader{
		Name: os.Args[0], Args: args, Env: os.Environ(), Settings: func() error { _, _, err := again(args, o); return err },
		Sockets: sockets, Board: sight.Board, Admin: sight.descriptor(), Bell: int(sight.bell.Fd()), Log: sight.Log,
		Started: sight.Started, Signals: signals, Nohup: hungUp == nil,
	})
	sight.watch(&pool)
	watched(&pool)
	return supervise.Run(pool)
}

// heeded returns the signals that the master heeds.
func heeded() (signals <-chan os.Signal, deaf func()) {
	// A log whose reader has gone must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	c := make(chan os.Signal, 8) // what may come while the pool is busy
	signal.Notify(c, upgrade.Signals()...)
	return c, func() { signal.Stop(c) }
}

// replaceable lets the master's program be replaced, and goes on with the pool of
// the one before.
func replaceable(pool *supervise.Config, before *upgrade.Carried, u upgrade.Upgrader) {
	if before != nil {
		pool.Resume = &before.Pool
	}
	if path, err := executable(); err == nil {
		u.Path = path
		pool.Check, pool.Exec = u.Check, u.Exec
	}
}
