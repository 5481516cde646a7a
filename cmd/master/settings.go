package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/listen"
	"phalanx/internal/options"
	"phalanx/internal/rules"
	"phalanx/internal/supervise"
	"phalanx/internal/website"
)

// settings parses the options and does the checks that are possible before anything is
// started.
func settings(args []string) (o options.Options, worker string, err error) {
	if o, err = commandLine(args).Options(); err != nil {
		return o, "", err
	}
	if o, err = options.CheckSites(o); err != nil {
		return o, "", err
	}
	return checked(o)
}

// patience is how long a signal to stop waits until the options have been read at a start.
const patience = time.Second

// first reads the options at a start, when no pool handles signals yet. If a disk does not respond,
// or a pipe has no writer, a signal to stop ends the program. Signals that arrive before the options
// have been read are given back. After an upgrade, while workers serve, all of them wait for that.
func first(read func() (options.Options, string, error), upgraded bool, signals <-chan os.Signal, back func(os.Signal)) (o options.Options, worker string, err error) {
	type settings struct {
		o      options.Options
		worker string
		err    error
	}
	done := make(chan settings, 1)
	go func() { // it may not end before the program does
		o, worker, err := read()
		done <- settings{o, worker, err}
	}()
	if upgraded {
		signals = nil
	}
	var late <-chan time.Time
	var early []os.Signal
	for {
		select {
		case s := <-done:
			for _, sig := range early {
				back(sig)
			}
			return s.o, s.worker, s.err
		case sig := <-signals:
			early = append(early, sig)
			if stops(sig) && late == nil {
				late = time.After(patience)
			}
		case <-late:
			return o, "", exitcode.New(exitcode.Forced, "stopped while reading the options; a file that they name, or its disk, does not respond", nil)
		}
	}
}

func stops(sig os.Signal) bool {
	return sig == syscall.SIGINT || sig == syscall.SIGTERM || sig == syscall.SIGQUIT
}

// checked completes options and checks them, for the server and the command share.
func checked(o options.Options) (_ options.Options, worker string, err error) {
	sites, err := openSites(o)
	if err != nil {
		return o, "", err
	}
	sites.Close()
	if err = o.CheckKeys(); err != nil {
		return o, "", err
	}
	if o.Identity, err = identity(o); err != nil {
		return o, "", err
	}
	if err = checkCache(o); err != nil {
		return o, "", err
	}
	worker, err = findWorker(string(o.Worker))
	return o, worker, err
}

// workerArgs returns the function that makes the command line of a worker. kept: its connections are
// rescued.
func workerArgs(o options.Options, sockets *listen.Set, kept bool) func(slot, row int) []string {
	return func(slot, row int) []string {
		return append(o.WorkerArgs(slot, row), options.InheritedArgs(sockets.Sockets(slot), kept)...)
	}
}

// files returns a function that returns the listening sockets of a slot.
func files(sockets *listen.Set) func(slot int) []*os.File {
	return func(slot int) (all []*os.File) {
		for _, s := range sockets.Sockets(slot) {
			all = append(all, s.File)
		}
		return all
	}
}

// openSites opens the document roots as a worker does, so that errors are found before workers
// are started.
func openSites(o options.Options) (*website.Sites, error) {
	sites, err := website.OpenSites(o)
	if err != nil {
		return nil, exitcode.New(exitcode.Config, err.Error(), err)
	}
	if err := sites.ReadRules(o); err != nil {
		sites.Close()
		cure, it := "; correct it", "it"
		if strings.Contains(err.Error(), "\n") {
			cure, it = "\ncorrect all of these", "them"
		}
		if wrong, ok := errors.AsType[*rules.Error](err); !ok || wrong.Line > 0 { // the error is in a file, not in a flag
			cure += ", or ignore " + it + " with --no-rules"
		}
		return nil, exitcode.New(exitcode.Config, err.Error()+cure, err)
	}
	return sites, nil
}

// reread reads the options again for a reload or an upgrade. before are those in force, addresses
// those that the server listens on, which may be known only from systemd.
func reread(read func() (options.Options, string, error), before options.Options, addresses []listen.Address) (o options.Options, worker string, err error) {
	if o, worker, err = read(); err != nil {
		return o, "", err
	}
	if name := options.NeedsRestart(before, o); name != "" {
		return o, "", fmt.Errorf("--%s has changed; restart to apply it", name)
	}
	return o, worker, o.CheckHTTPS(listen.AnySecure(addresses))
}

// reloaded returns the settings of a reload.
func reloaded(read func() (options.Options, string, error), before options.Options, spawner supervise.Spawner, sockets *listen.Set, m *monitor, c *certificates) (supervise.Settings, error) {
	o, worker, err := reread(read, before, sockets.Addresses())
	if err == nil {
		err = m.check(o)
	}
	var certified func()
	if err == nil {
		certified, err = c.reread(o)
	}
	if err != nil {
		return supervise.Settings{}, err
	}
	spawner, _ = configured(spawner, o, worker, sockets, m) // why connections are not rescued was logged at the start
	fresh := poolSettings(o, spawner)
	replaced := m.replaced(o)
	fresh.Applied = func() {
		m.apply(o)
		if replaced {
			m.renewHelper()
		}
		certified()
	}
	return fresh, nil
}

// configured returns a spawner of workers with other options. The error is why connections are not
// rescued, although the options ask for it.
func configured(s supervise.Spawner, o options.Options, worker string, sockets *listen.Set, m *monitor) (supervise.Spawner, error) {
	sizes, err := records(o)
	s.Path, s.Args, s.Env = worker, m.named(o, workerArgs(o, sockets, sizes != nil)), environment(o)
	s.Records, s.Help = sizes, m.help(o)
	return s, err
}

// poolSettings returns the settings of the pool for these options and the spawner configured with them.
func poolSettings(o options.Options, spawner supervise.Spawner) supervise.Settings {
	return supervise.Settings{Spawn: spawner.Spawn, Worker: spawner.Path, Slots: slots(o), Shares: o.Shares()}
}

// slots returns the configured number of workers on this machine.
func slots(o options.Options) int { return o.Slots(runtime.GOMAXPROCS(0)) }
