package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"phalanx/internal/listen"
	"phalanx/internal/options"
)

// orphaned returns the news of children's ends if this process is the first
// of its container and so inherits the orphans of all others; else nil.
func orphaned(pid int) (news <-chan os.Signal, stop func()) {
	if pid != 1 {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1) // they all say the same
	signal.Notify(c, syscall.SIGCHLD)
	return c, func() { signal.Stop(c) }
}

// terminal returns what tells a HUP that means the end of the terminal, from
// which the server was started, from one that somebody sent; nil if every HUP
// was sent. Under nohup the end of the terminal is nothing to care about.
func terminal(before *carried) func() bool {
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

// refuse ends listening: the workers take what has come so far, and what
// would come after that is not let in, so that nothing is left in a queue
// when they close their copies.
func refuse(log zerolog.Logger, sockets *listen.Set) {
	if err := sockets.RefuseNew(); err != nil {
		log.Warn().Err(err).Msg("a client may be reset during the drain")
	}
	sockets.Close()
}

func announce(log zerolog.Logger, o options.Options, port, workers int) {
	host := string(o.Bind)
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
