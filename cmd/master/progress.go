package main

import (
	"fmt"
	"io"
	"strings"

	"phalanx/internal/human"
	"phalanx/internal/supervise"
)

// drainProgress shows the progress of a drain on a terminal: a line for each worker,
// updated in place.
type drainProgress struct {
	out   io.Writer // the terminal; nil: nothing is shown
	lines int       // written so far
}

// show replaces the lines. Errors of the terminal are ignored.
func (w *drainProgress) show(all []supervise.Progress) {
	if w.out == nil || w.late() {
		return
	}
	var b strings.Builder
	if w.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", w.lines) // up, to the first of them
	}
	for _, r := range all {
		fmt.Fprintf(&b, "\r\x1b[K%s\n", describe(r))
	}
	b.WriteString("\r\x1b[KPress Ctrl-C again to stop immediately.\n\x1b[J")
	w.lines = len(all) + 1
	fmt.Fprint(w.out, b.String())
}

// late reports that the terminal has not taken all yet, as one that was stopped by
// Ctrl-S: what is to come would be old when it is shown.
func (w *drainProgress) late() bool {
	out, ok := w.out.(interface{ Late() bool })
	return ok && out.Late()
}

// describe says what a worker still has to send.
func describe(r supervise.Progress) string {
	text := fmt.Sprintf("worker %d: %s left", r.Slot, human.Plural(r.Connections, "connection", "connections"))
	if r.Bytes > 0 {
		text += ", " + human.Bytes(r.Bytes) + " left to send"
	}
	if r.Left > 0 {
		text += fmt.Sprintf(", about %v at %s/s", r.Left, human.Bytes(r.Rate))
	}
	return text
}
