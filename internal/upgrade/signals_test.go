package upgrade

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A signal to stop ends the wait for a function that does not return, and no signal is lost.
func TestAwait(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration // for the function to return
		sent  []os.Signal
		want  bool
	}{
		{"at once", 0, nil, true},
		{"in time", stopAfter / 2, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, true},
		{"late", 2 * stopAfter, []os.Signal{syscall.SIGINT, syscall.SIGHUP}, false},
		{"another signal", 2 * stopAfter, []os.Signal{syscall.SIGHUP, syscall.SIGUSR1}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Signals{c: make(chan os.Signal, queued)}
			s.C = s.c
			for _, sig := range tt.sent {
				s.put(sig)
			}
			began := time.Now()
			got := s.Await(func() { time.Sleep(tt.takes) })
			if took := time.Since(began); got != tt.want || took != min(tt.takes, stopAfter) && !tt.want {
				t.Errorf("%s: %v after %v, want %v", tt.name, got, took, tt.want)
			}
			time.Sleep(tt.takes) // until the function has returned
			var left []os.Signal
			for range len(s.c) {
				left = append(left, <-s.C)
			}
			if !slices.Equal(left, tt.sent) {
				t.Errorf("%s: %v are left of %v", tt.name, left, tt.sent)
			}
		})
	}
}
