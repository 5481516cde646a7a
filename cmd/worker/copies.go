package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/site"
	"phalanx/internal/website"
)

// mostJobs is how many jobs this worker asks for within a second. What is not asked for now
// is asked for when the file is looked at again.
const mostJobs = 500

// openCache lets the sites send compressed copies, if the options want it, and returns the
// descriptor of the directory that has them.
func openCache(opts options.WorkerOptions, sites *website.Sites, channel *ipc.Channel) ([]int, error) {
	if !opts.Compress {
		return nil, nil
	}
	dir, err := unix.Open(string(opts.CacheDir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("--cache-dir %s: %v; restart the server, which creates it", opts.CacheDir, err), err)
	}
	copies := site.NewCopies(dir, asker(channel, time.Now))
	for _, root := range sites.All() {
		root.Copies = copies
	}
	return []int{dir}, nil
}

// asker returns what asks the master for a copy of an open file. It does not wait, and is
// for one goroutine at a time.
func asker(channel *ipc.Channel, now func() time.Time) func(proto.Coding, int) bool {
	var second time.Time
	asked := 0
	return func(coding proto.Coding, fd int) bool {
		if t := now(); t.Sub(second) >= time.Second {
			second, asked = t, 0
		}
		if asked++; asked > mostJobs {
			return false
		}
		return channel.SendFile(ipc.Job{Kind: ipc.JobKind(coding)}, fd) == nil
	}
}
