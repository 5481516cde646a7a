package main

import (
	"fmt"
	"os"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/logging"
	"phalanx/internal/options"
)

// standardError is what the master says, on a copy of standard error that the workers
// share. Nothing of it waits for a reader.
type standardError struct {
	file  *os.File
	lines *logging.Writer
	log   zerolog.Logger
	alert func(line string) // see alerts
}

func newStderr(o options.Options, stderr *os.File) (*standardError, error) {
	fd, err := unix.FcntlInt(stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("duplicate standard error: %w", err)
	}
	file := os.NewFile(uintptr(fd), "log")
	lines := logging.NewWriter(file, string(o.LogFormat))
	return &standardError{
		file: file, lines: lines, alert: logging.Alerts(file, string(o.LogFormat), lines),
		log: logging.New(file, string(o.LogFormat), o.Verbose, logging.Options{NoColor: os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb", Through: lines}),
	}, nil
}

// close gives the reader of the last lines a moment.
func (o *standardError) close() {
	o.lines.Close()
	o.file.Close()
}
