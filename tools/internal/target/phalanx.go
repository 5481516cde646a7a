package target

import (
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"phalanx/tools/internal/record"
)

// ModelNames lists the models of Phalanx, the newest first. The pool appears
// twice, on the event loop and on Go's netpoller, which separates the effect of
// the processes from that of the loop.
func ModelNames() []string { return []string{"process", "process-netpoll", "goroutine", "serial"} }

// IsPhalanx reports whether name is that of a model, or of the pool with other
// flags.
func IsPhalanx(name string) bool {
	return slices.Contains([]string{record.Verbose, record.Seen, record.Logged}, name) || slices.Contains(ModelNames(), name)
}

// Models returns the models. binaries is the directory of the programs. No flag
// turns a log on.
func Models(binaries string) []Target {
	return []Target{
		phalanx(binaries, "process"),
		phalanx(binaries, "process-netpoll", "--engine", "netpoll"),
		phalanx(binaries, "goroutine", "--model", "goroutine"),
		phalanx(binaries, "serial", "--model", "serial"),
	}
}

// Compared returns the models that are compared with other servers: all but
// the serial one, and the pool with its log.
func Compared(binaries string) []Target {
	verbose := phalanx(binaries, record.Verbose, "--verbose", "--log-format", "json")
	verbose.logs = true
	return append(Models(binaries)[:3:3], verbose)
}

// Observed returns the pool without observability, with request IDs and scraped
// metrics, and with an access log.
func Observed(binaries string) []Target {
	seen := phalanx(binaries, record.Seen, "--request-id")
	seen.admin = true
	logged := phalanx(binaries, record.Logged)
	plain := logged.args
	logged.args = func(s Site, config string) []string {
		return append(plain(s, config), "--access-log", filepath.Join(s.Scratch, "access.log"))
	}
	return []Target{phalanx(binaries, "process"), seen, logged}
}

func phalanx(binaries, name string, more ...string) Target {
	return Target{
		Name: name, Install: "make build",
		Program: filepath.Join(binaries, "master"),
		version: []string{"--version"}, pattern: `([0-9]+\.[0-9][^\s]*)`,
		args: func(s Site, _ string) []string {
			args := []string{"--base", s.Base, "--port", strconv.Itoa(s.Port)}
			if s.secure() {
				args = []string{"--base", s.Base, "--listen", "https://:" + strconv.Itoa(s.Port), "--tls-cert", s.Certificate, "--tls-key", s.Key}
			}
			return append(args, more...)
		},
		Stop: syscall.SIGINT,
	}
}
