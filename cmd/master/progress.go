package main

import (
	"fmt"
	"io"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/supervise"
)

// drainProgress shows on a terminal what a drain still waits for: a line for each
// worker, written over the lines of a second before.
type drainProgress struct {
	out   io.Writer // the terminal; nil: nothing is shown
	lines int       // that are on it
}

// show writes what the workers still have to do over what it wrote before.
// Nobody hears of it if the terminal does not take it.
func (w *drainProgress) show(all []supervise.Progress) {
	if w.out == nil {
		return
	}
	var b strings.Builder
	if w.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", w.lines) // up, to the first of them
	}
	for _, r := range all {
		fmt.Fprintf(&b, "\r\x1b[K%s\n", describe(r))
	}
	b.WriteString("\r\x1b[KCtrl-C again stops at once.\n\x1b[J")
	w.lines = len(all) + 1
	fmt.Fprint(w.out, b.String())
}

// describe says what a worker still has to do.
func describe(r supervise.Progress) string {
	text := fmt.Sprintf("worker %d: %s left", r.Slot, human.Plural(r.Connections, "connection", "connections"))
	if r.Bytes > 0 {
		text += ", " + human.Bytes(r.Bytes) + " to go"
	}
	if r.Left > 0 {
		text += fmt.Sprintf(", about %v at %s/s", r.Left, human.Bytes(r.Rate))
	}
	return text
}
