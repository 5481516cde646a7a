package main

import (
	"fmt"

	"phalanx/internal/human"
	"phalanx/internal/supervise"
)

// describe returns the status line of a drain.
func describe(all []supervise.Progress) string {
	r := supervise.Sum(all)
	text := "draining: " + human.Plural(r.Connections, "connection", "connections")
	if r.Bytes > 0 {
		text += ", " + human.Bytes(r.Bytes) + " left to send"
	}
	if r.Left > 0 {
		text += fmt.Sprintf(", about %v at %s/s", r.Left, human.Bytes(r.Rate))
	}
	return text + "; Ctrl-C stops immediately"
}
