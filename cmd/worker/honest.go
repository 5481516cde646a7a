//go:build !thief

package main

import (
	"phalanx/internal/conn"
	"phalanx/internal/options"
)

// withAttempts is replaced in tests, so that a worker tries forbidden actions.
func withAttempts(_ options.WorkerOptions, files conn.Site) conn.Site { return files }
