package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"phalanx/internal/listen"
	"phalanx/internal/options"
	"phalanx/internal/rescue"
	engine "phalanx/internal/serve"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// inherited returns the state from before an upgrade, nil if there was none.
func inherited() (*upgrade.Carried, error) {
	text, ok := os.LookupEnv(upgrade.Key)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(upgrade.Key) // not for workers
	return upgrade.Inherit(text)
}

// open opens the listening sockets, or inherits them in an upgrade.
func open(o options.Options, slots int, before *upgrade.Carried) (*listen.Set, error) {
	addresses := o.Addresses()
	if before != nil {
		return before.Inherited(addresses[0])
	}
	passed, kept, err := systemdSockets()
	if err != nil {
		return nil, err
	}
	set, err := listen.Open(listen.Config{Addresses: addresses, Slots: slots, Passed: passed, Kept: kept, Forget: forget})
	if err == nil && len(kept) > 0 {
		// The number of an address may be another than before, and systemd ignores a socket that
		// it has: the old name would remain, under which no Shrink would find it.
		unstore(kept)
		store(set)
	}
	return set, err
}

// childExits returns notifications of exited children if this process is PID 1 of a container,
// which adopts all orphans; else nil.
func childExits(pid int) (news <-chan os.Signal, stop func()) {
	if pid != 1 {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1) // notifications carry no data
	signal.Notify(c, syscall.SIGCHLD)
	return c, func() { signal.Stop(c) }
}

// refuse makes the listening sockets refuse new connections, so that the accept queues are
// empty when workers close them.
func refuse(log zerolog.Logger, sockets *listen.Set) {
	if err := sockets.RefuseNew(); err != nil {
		log.Warn().Err(err).Msg("new connections not refused; a client may be reset during the drain")
	}
}

// records returns the sizes of the rescue records, nil if connections are not rescued. The error is
// why they cannot be, although --rescue asks for it.
func records(o options.Options) (*rescue.Sizes, error) {
	sizes := rescue.Sizes{FDs: engine.MaxFiles(), Recv: int(o.Recv), Send: engine.OutSize}
	if !o.Rescues() {
		return nil, nil
	}
	if err := rescue.Available(sizes); err != nil {
		return nil, err
	}
	return &sizes, nil
}

// announce logs that the pool serves, with its first URL and, if there are several addresses,
// all of them.
func announce(log zerolog.Logger, o options.Options, addresses []listen.Address, workers int) {
	if o.Linked != "" {
		log.Info().Str("value", o.Linked).Msg("PHALANX_PORT ignored: Kubernetes set it for a Service; choose the port with --port or --listen")
	}
	e := log.Info()
	for _, a := range addresses {
		if url := a.URL(); url != "" {
			if e = e.Str("url", url).Int("port", a.Port); a.Everywhere() {
				e = e.Str("interfaces", "all")
			}
			break
		}
	}
	if len(addresses) > 1 || addresses[0].Path != "" {
		e = e.Str("listen", written(addresses))
	}
	if o.Default() {
		e = e.Str("base", string(o.Base))
	}
	if len(o.Site) > 0 {
		e = e.Int("sites", len(o.Site))
	}
	e.Str("model", string(o.Model)).Int("workers", workers).Msg("serving")
}

// written returns addresses separated by spaces.
func written(addresses []listen.Address) string {
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// scalable returns the sockets for scaling the pool; nil if the model has one worker.
func scalable(o options.Options, sockets *listen.Set) supervise.Sockets {
	if o.Model != options.Process {
		return nil
	}
	return storing{sockets}
}
