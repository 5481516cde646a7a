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

	"phalanx/internal/listen"
	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
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
	o, err := options.ParseMaster(args, os.Getenv)
	if err != nil {
		return err
	}
	if o.Base, err = options.CheckBase(o.Base); err != nil {
		return err
	}
	worker, err := findWorker(o.Worker)
	if err != nil {
		return err
	}
	// A log whose reader has gone must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4) // a HUP and two stops, while the pool is busy
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	logFile, err := duplicate(stderr)
	if err != nil {
		return err
	}
	defer logFile.Close()
	orphans, stop := orphaned(os.Getpid())
	defer stop()
	slots := o.Slots(runtime.GOMAXPROCS(0))
	sockets, err := listen.Open(listen.Config{Bind: string(o.Bind), Port: int(o.Port), Slots: slots})
	if err != nil {
		return err
	}
	defer sockets.Close()
	log := logging.New(logFile, string(o.LogFormat), o.Verbose, logging.NoColor(os.Getenv("NO_COLOR") != ""))
	spawner := supervise.Spawner{
		Path: worker, Args: o.WorkerArgs, Env: environment(o),
		Socket: sockets.File, Log: logFile,
	}
	return supervise.Run(supervise.Config{
		Slots: slots, Version: options.Version, Worker: worker,
		Spawn: spawner.Spawn, Signals: signals, Orphans: orphans, Log: log,
		OnServing: func() { announce(log, o, sockets.Port(), slots) },
		OnDrain:   func() { refuse(log, sockets) },
		Alert:     func(line string) { fmt.Fprintf(stderr, "phalanx: %s\n", line) },
	})
}
