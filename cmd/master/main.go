// Command master serves a website with a pool of worker processes. It wires
// the parts together and turns errors into lines and exit codes.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

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
	slots := o.Slots(runtime.GOMAXPROCS(0))
	sockets, err := listen.Open(listen.Config{Bind: o.Bind, Port: int(o.Port), Slots: slots})
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
		Spawn: spawner.Spawn, Signals: signals, Log: log,
		OnServing: func() { announce(log, o, sockets.Port(), slots) },
		OnDrain:   func() { sockets.Close() },
		Alert:     func(line string) { fmt.Fprintf(stderr, "phalanx: %s\n", line) },
	})
}

func announce(log zerolog.Logger, o options.Options, port, workers int) {
	host := o.Bind
	switch host {
	case "", "0.0.0.0", "::":
		host = "localhost"
	}
	log.Info().Str("url", "http://"+net.JoinHostPort(host, strconv.Itoa(port))+"/").
		Int("port", port).Str("base", string(o.Base)).
		Str("model", string(o.Model)).Int("workers", workers).Msg("serving")
}

// environment is the workers'.
func environment(o options.Options) []string {
	if n := o.Procs(); n > 0 {
		return append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(n))
	}
	return os.Environ()
}

// duplicate returns a copy of stderr for the log, which the workers share.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("duplicate standard error: %w", err)
	}
	return os.NewFile(uintptr(fd), "log"), nil
}
