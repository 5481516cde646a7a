package main

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/website"
)

// mostJobs is the largest number of jobs that this worker requests in a second. Others are
// requested when the file is checked again.
const mostJobs = 500

// openCache makes the sites use the cache directory for compressed copies and digests, if the
// options enable it, and returns its descriptor.
func openCache(opts options.WorkerOptions, sites *website.Sites, channel *ipc.Channel) ([]int, error) {
	if !opts.Caches() {
		website.UseCache(sites, opts.Options, -1, website.Asks{})
		return nil, nil
	}
	dir, err := unix.Open(string(opts.CacheDir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, exitcode.New(exitcode.Config, fmt.Sprintf("--cache-dir %s: %v; restart the server, which creates it", opts.CacheDir, err), err)
	}
	ask := asker(channel, time.Now)
	website.UseCache(sites, opts.Options, dir, website.Asks{
		Copy: func(coding proto.Coding, fd int) bool { return ask(ipc.JobKind(coding), fd) },
		Digest: func(copied bool, fd int) bool {
			if copied {
				return ask(ipc.JobCopyDigest, fd)
			}
			return ask(ipc.JobDigest, fd)
		},
	})
	return []int{dir}, nil
}

// asker returns a function that requests a job with an open file from the master. It does not
// block.
func asker(channel *ipc.Channel, now func() time.Time) func(ipc.JobKind, int) bool {
	var mu sync.Mutex // guards the variables below
	var second time.Time
	asked := 0
	return func(kind ipc.JobKind, fd int) bool {
		mu.Lock()
		defer mu.Unlock()
		if t := now(); t.Sub(second) >= time.Second {
			second, asked = t, 0
		}
		if asked++; asked > mostJobs {
			return false
		}
		return channel.SendFile(ipc.Job{Kind: kind}, fd) == nil
	}
}
