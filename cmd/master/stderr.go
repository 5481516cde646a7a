package main

import (
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"phalanx/internal/logging"
	"phalanx/internal/options"
	"phalanx/internal/upgrade"
)

// standardError writes the log of master and workers to a duplicate of standard error. It does
// not block on a full pipe.
type standardError struct {
	file    *os.File
	lines   *logging.Writer
	workers *logging.Collector
	log     zerolog.Logger
	alerts  zerolog.Logger  // what operators must know even in silent mode
	status  *logging.Status // nil: not a terminal
}

func newStderr(o options.Options, stderr *os.File, before *upgrade.Carried) (*standardError, error) {
	fd, err := unix.FcntlInt(stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("duplicate standard error: %w", err)
	}
	file := os.NewFile(uintptr(fd), "log")
	lines := logging.NewWriter(file, string(o.LogFormat))
	if before != nil {
		lines.Continue(before.Unwritten, before.Dropped)
	}
	console := logging.ConsoleOptions(os.Getenv("NO_COLOR"), os.Getenv("TERM"))
	console.IDs = o.RequestID
	workers, err := logging.NewCollector(lines, file, string(o.LogFormat), o.Verbose, console)
	if err != nil {
		return nil, err
	}
	console.Through = lines
	e := &standardError{
		file: file, lines: lines, workers: workers, log: logging.New(file, string(o.LogFormat), o.Verbose, console),
		status: logging.NewStatus(file, lines, os.Getenv("TERM")),
	}
	if e.alerts = e.log; o.Verbose == 0 {
		e.alerts = logging.Alerts(file, string(o.LogFormat), console)
	}
	return e, nil
}

// alert reports what operators must know even in silent mode.
func (e *standardError) alert(line string) {
	e.status.Clear()
	e.alerts.Warn().Msg(line)
}

// inform reports progress after a start, with -v or on a terminal.
func (e *standardError) inform(o options.Options, line string) {
	switch {
	case o.Verbose > 0:
		e.log.Info().Msg(line)
	case term.IsTerminal(int(e.file.Fd())):
		e.alert(line)
	}
}

// deaths returns the logger for deaths of workers with fields; nil: they are alerted as lines.
func (e *standardError) deaths(o options.Options) *zerolog.Logger {
	if o.Verbose == 0 && o.LogFormat != options.LogJSON {
		return nil
	}
	return &e.alerts
}

// leave is [logging.Writer.Leave], and also suspends the collector of the workers' log lines.
func (e *standardError) leave() (unwritten []byte, dropped int, resume func()) {
	e.workers.Suspend()
	unwritten, dropped, written := e.lines.Leave()
	return unwritten, dropped, func() { written(); e.workers.Resume() }
}

// close closes the log, after a short wait for the last lines to be read.
func (e *standardError) close() {
	e.status.Clear()
	e.workers.Close()
	e.lines.Close()
	e.file.Close()
}
