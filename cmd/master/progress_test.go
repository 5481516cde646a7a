package main

import (
	"testing"
	"time"

	"phalanx/internal/logging"
	"phalanx/internal/supervise"
)

func TestDrainProgress(t *testing.T) {
	for want, all := range map[string][]supervise.Progress{
		"draining: 4 connections, 1.50 GB left to send, about 3m20s at 7.50 MB/s; Ctrl-C stops immediately": {
			{Slot: 0, Connections: 3, Bytes: 1_400_000_000, Rate: 7_300_000, Left: 191 * time.Second},
			{Slot: 1, Connections: 1, Bytes: 100_000_000, Rate: 200_000, Left: 500 * time.Second},
		},
		"draining: 1 connection, 999 B left to send; Ctrl-C stops immediately": {{Slot: 3, Connections: 1, Bytes: 999}},
		"draining: 2 connections; Ctrl-C stops immediately":                    {{Slot: 3, Connections: 2}},
	} {
		if got := describe(all); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
	if none := (*logging.Status)(nil); none.Show(describe([]supervise.Progress{{}})) {
		t.Error("the progress is shown without a terminal")
	}
}
