// Command master serves a website with a pool of worker processes. It wires
// the parts together and turns errors into lines and exit codes.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"phalanx/internal/console"
	"phalanx/internal/logging"
	"phalanx/internal/observe"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr *os.File) int {
	err := serve(args, stderr)
	if err == nil {
		return 0
	}
	if info, ok := errors.AsType[*options.Info](err); ok {
		fmt.Fprint(stdout, info.Text)
		return 0
	}
	fmt.Fprintf(stderr, "phalanx: %v\n", err)
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

func serve(args []string, stderr *os.File) error {
	before, err := inherited()
	if err != nil {
		return err
	}
	o, worker, err := settings(args)
	if err != nil || o.Check {
		return err
	}
	// A log whose reader has gone must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	hungUp := terminal(before)
	signals := make(chan os.Signal, 8) // what may come while the pool is busy
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR2)
	defer signal.Stop(signals)
	logFile, err := duplicate(stderr)
	if err != nil {
		return err
	}
	defer logFile.Close()
	orphans, stop := orphaned(os.Getpid())
	defer stop()
	board, err := before.Scoreboard()
	if err != nil {
		return err
	}
	slots := o.Slots(runtime.GOMAXPROCS(0))
	sockets, err := open(o, slots, before)
	if err != nil {
		return err
	}
	defer sockets.Close()
	log := logging.New(logFile, string(o.LogFormat), o.Verbose, logging.NoColor(os.Getenv("NO_COLOR") != ""))
	spawner := supervise.Spawner{
		Path: worker, Args: o.WorkerArgs, Env: environment(o),
		Socket: sockets.File, Log: logFile,
	}
	spawner.Board = os.NewFile(uintptr(board.Descriptor()), "scoreboard")
	desk := supervise.NewDesk()
	observer := observe.New(observe.Config{
		Board: board, Desk: desk, Started: time.Now(),
		Info: func() observe.Info {
			return observe.Info{Version: options.Version, Base: string(o.Base), Model: string(o.Model)}
		},
	})
	reload := func() (supervise.Settings, error) { return reloaded(args, o, spawner) }
	pool := supervise.Config{
		Slots: slots, Version: options.Version, Worker: worker,
		Spawn: spawner.Spawn, Reload: reload, Signals: signals, Orphans: orphans, Log: log, HungUp: hungUp,
		LameDuck: time.Duration(o.LameDuck), DrainTimeout: time.Duration(o.DrainTimeout), HangTimeout: time.Duration(o.HangTimeout),
		OnServing: func() { announce(log, o, sockets.Port(), slots) },
		OnDrain:   func() { refuse(log, sockets) },
		OnWait:    (&console.Waiting{Out: screen(stderr, o.Verbose)}).Show,
		Rows:      observer, Desk: desk, Queue: sockets.Queue,
		Alert: func(line string) { fmt.Fprintf(stderr, "phalanx: %s\n", line) },
	}
	if o.Model == options.Process {
		pool.Sockets = sockets
	}
	if before != nil {
		pool.Resume = &before.Pool
	}
	if path, err := os.Executable(); err == nil {
		u := upgrade.Upgrader{
			Path: path, Args: args, Env: os.Environ(), Settings: func() error { _, _, err := again(args, o); return err },
			Sockets: sockets, Board: board, Signals: signals, Nohup: hungUp == nil,
		}
		pool.Check, pool.Exec = u.Check, u.Exec
	}
	watched(&pool)
	return supervise.Run(pool)
}
