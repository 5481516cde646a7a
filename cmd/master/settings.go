package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"phalanx/internal/exitcode"
	"phalanx/internal/listen"
	"phalanx/internal/options"
	"phalanx/internal/rules"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
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

// firstSettings reads the options at a start. No pool handles signals then, so a signal to stop ends
// the program if they cannot be read. After an upgrade, while workers serve, signals wait.
func firstSettings(read func() (options.Options, string, error), upgraded bool, signals *upgrade.Signals) (options.Options, string, error) {
	if upgraded {
		return read()
	}
	var o options.Options
	var worker string
	var err error
	if !signals.Await(func() { o, worker, err = read() }) {
		return options.Options{}, "", exitcode.New(exitcode.Forced, "stopped while reading the options; a file that they name, or its disk, does not respond", nil)
	}
	return o, worker, err
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

// workerArgs returns the function that makes the command line of a worker.
func workerArgs(o options.Options, sockets *listen.Set) func(slot, row int, kept bool) []string {
	return func(slot, row int, kept bool) []string {
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
	s.Path, s.Args, s.Env = worker, m.named(o, workerArgs(o, sockets)), environment(o)
	s.Records, s.Help = sizes, m.help(o)
	return s, err
}

// poolSettings returns the settings of the pool for these options and the spawner configured with them.
func poolSettings(o options.Options, spawner supervise.Spawner) supervise.Settings {
	return supervise.Settings{Spawn: spawner.Spawn, Worker: spawner.Path, Slots: slots(o), Shares: o.Shares()}
}

// slots returns the configured number of workers on this machine.
func slots(o options.Options) int { return o.Slots(runtime.GOMAXPROCS(0)) }
