package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/options"
	"phalanx/internal/rescue"
	"phalanx/internal/sandbox"
)

// ownDescriptors keeps descriptors that this process inherited, but those for
// standard input, output and error, from reaching the programs that it starts. Those
// that it passes on are passed explicitly.
func ownDescriptors() {
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // since Linux 5.11
}

// identity returns the user that workers become; "" if they are what the master is.
func identity(o options.Options) (string, error) {
	if !sandbox.IsRoot() {
		if o.User != "" {
			return "", exitcode.New(exitcode.Config, fmt.Sprintf("--user %s: only root can start workers as somebody else; leave it out, or start master as root", o.User), nil)
		}
		return "", nil
	}
	id, err := sandbox.LookUp(string(o.User))
	if err != nil {
		return "", exitcode.New(exitcode.Config, fmt.Sprintf("--user %s: %v", o.User, err), err)
	}
	return id.String(), nil
}

// reduced is what reduce has taken.
type reduced struct {
	ambient []int // capabilities that this process passes on only to the program after an upgrade
	err     error
}

// reduce takes from this process, if it runs as root, the capabilities that it never
// needs, and so from its workers. If it does not, workers get none of those that it was
// given, as by systemd. It comes before any goroutine that waits in a system
// call: if one begins to wait while the runtime stops all threads for a change of
// capabilities, Go 1.26 notices only after a minute.
func reduce(o options.Options) (r reduced) {
	switch {
	case o.Confine == options.ConfineOff:
	case sandbox.IsRoot():
		r.err = sandbox.Keep(masterCapabilities())
	default:
		r.ambient, r.err = sandbox.TakeAmbient()
	}
	return r
}

// execve is execve(2) for an upgrade.
func (r reduced) execve(path string, argv, env []string) error {
	return sandbox.GiveAmbient(r.ambient, func() error { return syscall.Exec(path, argv, env) })
}

// tellMissing logs what the kernel, or this program, cannot do of what the options ask
// for.
func tellMissing(log zerolog.Logger, o options.Options, r reduced) {
	if r.err != nil {
		log.Info().Err(r.err).Msg("master keeps all capabilities")
	}
	tellLost(log, o)
}

// masterCapabilities are those that a master needs that runs as root.
func masterCapabilities() []int {
	return []int{
		unix.CAP_NET_BIND_SERVICE,                          // ports below 1024, after a reload too
		unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, // workers become somebody else
		unix.CAP_KILL,                                   // and are signalled nevertheless
		unix.CAP_NET_ADMIN,                              // filters of listening sockets, which some kernels allow nobody else
		unix.CAP_SYS_RESOURCE,                           // the limit of descriptors is raised
		unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, // logs, keys and sockets in others' directories
		unix.CAP_CHOWN, unix.CAP_FOWNER, // owners and modes of what it makes there
		unix.CAP_SYSLOG, // the kernel's log names what a sandbox forbade
	}
}

// environment returns the environment of workers: what Go's runtime and time zones
// need. Secrets of the master's own do not belong there.
func environment(o options.Options) []string {
	needed := []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK", "TZ"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains(needed, name) && !slices.Contains(rescue.Variables(), name)
	})
	env = append(env, o.Shared.Environment()...)
	if n := o.Procs(); n > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(n))
	}
	return env
}
