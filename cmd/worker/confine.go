package main

import (
	"fmt"
	"strings"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/sandbox"
	"phalanx/internal/website"
)

// confine sandboxes this process after it has opened everything that it needs, and reports the
// result to the master.
func confine(opts options.WorkerOptions, sites *website.Sites, cache []int, channel *ipc.Channel) error {
	var m ipc.Confined
	directories := cache
	for _, root := range sites.All() {
		m.Unreadable = m.Unreadable || root.Unreadable()
		directories = append(directories, root.Directories()...)
	}
	if opts.Confine != options.Off {
		m.Sandboxed = true
		if err := sandbox.Confine(directories...); err != nil {
			m.Missing = strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		if m.Missing != "" && opts.Confine == options.ConfineRequired {
			return exitcode.New(exitcode.Config, fmt.Sprintf("--confine required: %v; use a newer kernel, or --confine auto", m.Missing), nil)
		}
	}
	return channel.Send(m)
}
