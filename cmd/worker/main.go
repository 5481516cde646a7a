// Command worker serves the connections of one slot. It is started by
// master, which hands it its listening socket, a control channel and the log
// as descriptors, and a command line made by internal/options.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/sandbox"
	"phalanx/internal/website"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	opts, err := options.ParseWorker(args)
	if info, ok := errors.AsType[*options.Info](err); ok {
		fmt.Fprint(stdout, info.Text)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "phalanx worker: %v\n", err)
		return exitcode.Code(err)
	}
	opts.Shared.Secrets(os.Getenv)
	channel, err := ipc.Open(ipc.ControlFD)
	if err != nil {
		fmt.Fprintf(stderr, "phalanx worker: %v; a worker is started by master\n", err)
		return exitcode.Usage
	}
	defer channel.Close()
	if err := work(opts, channel); err != nil {
		code := exitcode.Code(err)
		channel.Send(ipc.Failed{ExitCode: uint8(code), Reason: err.Error()})
		return code
	}
	return 0
}

// openSites opens the sites and the cache, and returns the descriptors of the cache directory.
func openSites(opts options.WorkerOptions, channel *ipc.Channel) (*website.Sites, []int, error) {
	sites, err := website.OpenSites(opts.Options)
	if err != nil {
		return nil, nil, exitcode.New(exitcode.Config, err.Error(), err)
	}
	if opts.List && !opts.NoReadme {
		for _, root := range sites.All() {
			root.Render = renderer(channel)
		}
	}
	cache, err := openCache(opts, sites, channel)
	if err != nil {
		sites.Close()
		return nil, nil, err
	}
	return sites, cache, nil
}

// work serves until a drain is ordered, and returns when it has drained.
func work(opts options.WorkerOptions, channel *ipc.Channel) error {
	sites, cache, err := openSites(opts, channel)
	if err != nil {
		return err
	}
	defer sites.Close()
	// The name in ps and top; without /proc it stays the file's.
	_ = os.WriteFile("/proc/self/comm", []byte("phalanx-worker"), 0)
	if err := sandbox.Become(opts.Options.Identity); err != nil {
		return exitcode.New(exitcode.Config, fmt.Sprintf("%v; choose another --user", err), err)
	}
	records, err := keep(opts) // early, while this process is small
	if err != nil {
		return err
	}
	listeners, err := listeners(opts.Sockets, int(opts.MaxUnsent))
	if err != nil {
		return err
	}
	passwords := website.NewPasswords(opts.Options)
	defer passwords.Close()
	c := listenTo(channel, opts, listeners, passwords)
	defer c.Stop()
	return engine(opts, listeners, sites, passwords, channel, c, records, func() (bool, error) {
		if opts.EventLoop() {
			if err := channel.Send(ipc.CanHandOver{}); err != nil {
				return false, err
			}
		}
		if secure(listeners) || passwords != nil {
			if ok, err := c.AwaitCredentials(); !ok {
				return false, err
			}
		}
		if err := confine(opts, sites, cache, channel); err != nil {
			return false, err
		}
		err := channel.Send(ipc.Ready{PID: os.Getpid(), Version: options.Version})
		return err == nil && c.Await(), err
	})
}
