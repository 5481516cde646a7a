package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/upgrade"
)

// hangUps returns a function that reports whether a SIGHUP is caused by the loss of the
// controlling terminal; nil if there is no terminal, or under nohup.
func hangUps(before *upgrade.Carried) func() bool {
	lost := func() bool { return !hasTerminal() }
	switch {
	case before != nil && !before.Nohup: // it had a terminal, and may have lost it since
		return lost
	case before != nil, signal.Ignored(syscall.SIGHUP), lost():
		return nil
	}
	return lost
}

// hasTerminal reports whether there is a controlling terminal (tty(4)).
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
