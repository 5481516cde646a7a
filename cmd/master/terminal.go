package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"phalanx/internal/upgrade"
)

// hangUps returns what tells a HUP that means the end of the terminal, from
// which the server was started, from one that somebody sent; nil if every HUP
// was sent. Under nohup the end of the terminal is nothing to care about.
func hangUps(before *upgrade.Carried) func() bool {
	if before != nil && before.Nohup || signal.Ignored(syscall.SIGHUP) || !hasTerminal() {
		return nil
	}
	return func() bool { return !hasTerminal() }
}

// hasTerminal asks for the controlling terminal (tty(4)).
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// screen returns the terminal on which a drain is shown, nil if there is none,
// or if a log is written that says the same.
func screen(stderr *os.File, verbose int) io.Writer {
	if verbose > 0 || !term.IsTerminal(int(stderr.Fd())) {
		return nil
	}
	return stderr
}
