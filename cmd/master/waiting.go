package main

import (
	"fmt"
	"io"
	"strings"

	"phalanx/internal/supervise"
)

// waiting shows on a terminal what a drain still waits for: a line for each
// worker, written over the lines of a second before.
type waiting struct {
	out   io.Writer // the terminal; nil: nothing is shown
	lines int       // that are on it
}

// show writes what the workers still have to do over what it wrote before.
// Nobody hears of it if the terminal does not take it.
func (w *waiting) show(all []supervise.Remains) {
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
func describe(r supervise.Remains) string {
	text := fmt.Sprintf("worker %d: %s left", r.Slot, count(r.Connections, "connection"))
	if r.Bytes > 0 {
		text += ", " + size(float64(r.Bytes)) + " to go"
	}
	if r.Left > 0 {
		text += fmt.Sprintf(", about %v at %s/s", r.Left, size(r.Rate))
	}
	return text
}

func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// size is a number of bytes as a reader wants it.
func size(bytes float64) string {
	const units = "kMGTPE"
	if bytes < 1000 {
		return fmt.Sprintf("%.0f B", bytes)
	}
	i := -1
	for ; bytes >= 1000 && i < len(units)-1; i++ {
		bytes /= 1000
	}
	return fmt.Sprintf("%.1f %cB", bytes, units[i])
}
