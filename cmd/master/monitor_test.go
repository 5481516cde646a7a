package main

import (
	"testing"

	"phalanx/internal/options"
)

// After an upgrade that is postponed, for instance because of a signal, the log and READMEs
// continue.
func TestUpgradePutOff(t *testing.T) {
	m := &monitor{readmes: newRenderer("")}
	defer m.readmes.close()
	resumed := 0
	leave := m.leave(func() ([]byte, int, func()) { return []byte("a line"), 2, func() { resumed++ } })
	for i := range 2 {
		unwritten, dropped, resume := leave()
		if string(unwritten) != "a line" || dropped != 2 || resumed != i {
			t.Errorf("%q, %d lines dropped, resumed %d times", unwritten, dropped, resumed)
		}
		resume()
		if resumed != i+1 {
			t.Errorf("resumed %d times, want %d", resumed, i+1)
		}
	}
}

// The helper gets jobs if it compresses, and if it only makes digests.
func TestHelp(t *testing.T) {
	for _, tt := range []struct {
		o    options.Options
		want bool
	}{
		{options.Options{CacheDir: "/cache", ETag: options.ETagContent}, true},
		{options.Options{CacheDir: "/cache", ETag: options.ETagAuto}, true},
		{options.Options{CacheDir: "/cache", ETag: options.ETagTimes, Compress: true}, true},
		{options.Options{CacheDir: "/cache", ETag: options.ETagTimes}, false},
		{options.Options{ETag: options.ETagAuto}, false},
	} {
		m := &monitor{helper: newHelper(tt.o, nil)}
		if got := m.help(tt.o) != nil; got != tt.want {
			t.Errorf("%+v: jobs are passed on: %v, want %v", tt.o, got, tt.want)
		}
	}
}
