package main

import (
	"fmt"

	"phalanx/internal/human"
	"phalanx/internal/logging"
	"phalanx/internal/supervise"
)

// drainProgress shows the progress of a drain on a terminal, in one line that changes.
type drainProgress struct {
	line *logging.Status // nil: there is no terminal
}

// show reports whether there is a terminal.
func (p drainProgress) show(all []supervise.Progress) bool {
	return p.line.Show(describe(all))
}

// describe says what the workers still have to send.
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
