package main

import (
	"strings"
	"testing"
	"time"

	"phalanx/internal/supervise"
)

func TestDrainProgress(t *testing.T) {
	var out strings.Builder
	w := &drainProgress{out: &out}
	w.show([]supervise.Progress{
		{Slot: 0, Connections: 3, Bytes: 1_234_567_890, Rate: 7_300_000, Left: 169 * time.Second},
		{Slot: 1, Connections: 1},
	})
	want := "\r\x1b[Kworker 0: 3 connections left, 1.23 GB left to send, about 2m49s at 7.30 MB/s\n" +
		"\r\x1b[Kworker 1: 1 connection left\n" +
		"\r\x1b[KPress Ctrl-C again to stop immediately.\n\x1b[J"
	if out.String() != want {
		t.Errorf("%q\nwant %q", out.String(), want)
	}
	out.Reset()
	w.show([]supervise.Progress{{Slot: 0, Connections: 3, Bytes: 999}})
	if want := "\x1b[3A\r\x1b[Kworker 0: 3 connections left, 999 B left to send\n\r\x1b[KPress Ctrl-C again to stop immediately.\n\x1b[J"; out.String() != want {
		t.Errorf("%q\nwant %q", out.String(), want)
	}
	(&drainProgress{}).show([]supervise.Progress{{}}) // no terminal, no output
}
