//go:build thief

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/options"
	"phalanx/internal/proto"
	"phalanx/internal/sandbox/thief"
)

// withAttempts makes a worker try the attempt in a request for /thief/NAME/MASTER/WORKER/WORKER,
// with the pids of the master and of two workers, and log the outcome. A request for
// /hostile/WHAT makes it flood the master.
func withAttempts(opts options.WorkerOptions, files conn.Site) conn.Site {
	return attemptSite{files, string(opts.Base), opts.Slot}
}

type attemptSite struct {
	conn.Site
	root string
	slot int
}

func (t attemptSite) Open(path []byte, codings proto.Codings, access *proto.Access) (conn.File, proto.Status) {
	words := strings.Split(string(path), "/")
	if len(words) == 3 && words[1] == "hostile" {
		hostile(t.slot, words[2])
	}
	if len(words) != 6 || words[1] != "thief" {
		return t.Site.Open(path, codings, access)
	}
	v := thief.Victims{Root: t.root}
	v.Master, _ = strconv.Atoi(words[3])
	for _, w := range words[4:] {
		if pid, _ := strconv.Atoi(w); pid != os.Getpid() {
			v.Sibling = pid
		}
	}
	line := "no such attempt"
	if a, ok := thief.Find(words[2]); ok {
		line = "DONE"
		if err := a.Do(v); err != nil {
			line = "refused: " + strings.ReplaceAll(err.Error(), "\n", ", ")
		}
	}
	_, _ = unix.Write(ipc.LogFD, fmt.Appendf(nil, "thief %s: %s\n", words[2], line))
	return nil, proto.StatusNotFound
}
