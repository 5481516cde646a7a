// Package logging says how a log line looks and where it goes.
//
// The master writes to standard error, and each worker into a pipe of its own, out of
// which the master takes its lines ([Collector]). Each event is one write(2)
// shorter than PIPE_BUF, which the kernel keeps whole (pipe(7)), so that lines never mix
// with those of other processes. What a client sent goes through
// [AppendJSON], so that no request can forge a line, nor make one too long.
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
	Auto    = "auto"    // Console on a terminal, else JSON
	Console = "console" // for eyes
	JSON    = "json"    // one object a line
)

// timeFormat is RFC 3339 in milliseconds. zerolog's own is a package
// variable, which would be shared state.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// Options of New.
type Options struct {
	NoColor bool      // switches the console's colours off (the NO_COLOR convention)
	IDs     bool      // the console shows ids of requests
	Erase   bool      // each line on a terminal erases what stands where it begins, see [Status]
	Through io.Writer // a [Buffer] or a [Writer] that lines go through; nil: each is written at once

	now func() time.Time // time.Now, if nil
}

// New returns a logger that writes to w. At verbose 0 it is silent, 1 is
// info, 2 debug, 3 and more trace. Write errors are ignored: a log without a reader
// must not stop the server.
func New(w *os.File, format string, verbose int, o Options) zerolog.Logger {
	if verbose <= 0 {
		return zerolog.Nop()
	}
	if o.now == nil {
		o.now = time.Now
	}
	return zerolog.New(events(w, format, o)).Level(level(verbose)).Hook(stamp{o.now})
}

// events returns what takes events as JSON and writes them to w in a format.
func events(w *os.File, format string, o Options) io.Writer {
	var to io.Writer = w
	if o.Through != nil {
		to = o.Through
	}
	if format == Console || format != JSON && isTerminal(w) {
		return console{
			to: consoleGuard{to}, width: func() int { return widthOf(w) }, color: !o.NoColor, ids: o.IDs, erase: o.Erase && isTerminal(w),
		}
	}
	return jsonGuard{to}
}

// Look returns how a log looks to one with these variables, NO_COLOR and TERM.
func Look(noColor, term string) Options {
	dumb := term == "" || term == "dumb"
	return Options{NoColor: noColor != "" || term == "dumb", Erase: !dumb}
}

// Alerts returns the log of what operators must know even in silent mode, to one who
// writes into the file: each event is a line of text, its message, or of JSON with its
// fields if that is the format.
func Alerts(file *os.File, format string, o Options) zerolog.Logger {
	if format == JSON {
		return New(file, JSON, 1, o)
	}
	if o.Through != nil {
		return zerolog.New(plain{to: o.Through})
	}
	return zerolog.New(plain{to: file})
}

// plain writes the message of an event alone.
type plain struct {
	to  io.Writer
	who string // said before it
}

// Write takes an event as JSON.
func (p plain) Write(event []byte) (int, error) {
	if e, err := decode(event); err == nil {
		_, _ = fmt.Fprintf(p.to, "phalanx: %s%s\n", p.who, human.Visible(e.text("message"))) // an error cannot be reported
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
