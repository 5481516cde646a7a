// Package logging formats log lines and writes them.
//
// The master writes to standard error, and each worker to its own pipe, from which the
// master reads its lines ([Collector]). Each event is one write(2) shorter than PIPE_BUF,
// which is atomic (pipe(7)), so that lines of different processes never mix. Text from
// clients goes through [AppendJSON], so that no request can forge a line or make one too
// long.
package logging

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

// The formats of New.
const (
	Auto    = "auto"    // Console on a terminal, otherwise JSON
	Console = "console" // for people
	JSON    = "json"    // one object per line
)

// timeFormat is RFC 3339 with milliseconds. zerolog's own format is a package variable, so
// setting it would be shared state.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Options are the options of [New].
type Options struct {
	NoColor bool      // no colours on the console (the NO_COLOR convention)
	IDs     bool      // show ids of requests on the console
	Erase   bool      // each line on a terminal erases a status line first, see [Status]
	Through io.Writer // a [Buffer] or a [Writer] for the lines; nil: each is written at once

	now func() time.Time // nil: time.Now
}

// New returns a logger that writes to w. Its level is info at verbose 1, debug at 2, and
// trace from 3 up; at 0 it is silent. Write errors are ignored: a log without a reader must
// not stop the server.
func New(w *os.File, format string, verbose int, o Options) zerolog.Logger {
	if verbose <= 0 {
		return zerolog.Nop()
	}
	if o.now == nil {
		o.now = time.Now
	}
	return zerolog.New(events(w, format, o)).Level(level(verbose)).Hook(stamp{o.now})
}

// events returns a writer of events, given as JSON, that formats them and writes them to w.
func events(w *os.File, format string, o Options) io.Writer {
	var to io.Writer = w
	if o.Through != nil {
		to = o.Through
	}
	if format == Console || format != JSON && isTerminal(w) {
		return console{
			to: consoleGuard{to}, width: func() int { return Width(w) }, color: !o.NoColor, ids: o.IDs, erase: o.Erase && isTerminal(w),
		}
	}
	return jsonGuard{to}
}

// ConsoleOptions returns the options for the environment variables NO_COLOR and TERM.
func ConsoleOptions(noColor, term string) Options {
	dumb := term == "" || term == "dumb"
	return Options{NoColor: noColor != "" || term == "dumb", Erase: !dumb}
}

// Alerts returns a logger for what operators must know even in silent mode. It writes the
// message of each event as a line of text, or the event if the format is JSON.
func Alerts(file *os.File, format string, o Options) zerolog.Logger {
	if format == JSON {
		return New(file, JSON, 1, o)
	}
	if o.Through != nil {
		return zerolog.New(plain{to: o.Through})
	}
	return zerolog.New(plain{to: file})
}

// plain writes only the messages of events.
type plain struct {
	to     io.Writer
	prefix string // of the message
}

// Write writes an event, given as JSON.
func (p plain) Write(event []byte) (int, error) {
	if e, err := decode(event); err == nil {
		_, _ = fmt.Fprintf(p.to, "phalanx: %s%s\n", p.prefix, human.Visible(e.text("message"))) // an error cannot be reported
	}
	return len(event), nil
}

func level(verbose int) zerolog.Level {
	switch verbose {
	case 1:
		return zerolog.InfoLevel
	case 2:
		return zerolog.DebugLevel
	default:
		return zerolog.TraceLevel
	}
}

// stamp adds the time to each event.
type stamp struct {
	now func() time.Time
}

// Run implements [zerolog.Hook].
func (s stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	var buf [len(timeFormat) + 8]byte
	e.RawJSON(zerolog.TimestampFieldName, appendTime(buf[:0], s.now()))
}

// appendTime appends a time as a JSON string.
func appendTime(dst []byte, at time.Time) []byte {
	return append(at.AppendFormat(append(dst, '"'), timeFormat), '"')
}

func isTerminal(w *os.File) bool {
	raw, err := w.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		terminal = err == nil
	})
	return err == nil && terminal
}
