//go:build !thief

package main

import (
	"phalanx/internal/conn"
	"phalanx/internal/options"
)

// tempted is where a test makes a worker try what it must not do.
func tempted(_ options.WorkerOptions, files conn.Site) conn.Site { return files }
