package harness

import (
	"testing"
	"time"
)

// Patience bounds everything that a client waits for.
const Patience = 60 * time.Second

// A deadline says how long something may take on a machine that has nothing
// else to do. The tests have to be right on one that is four times slower.
const slower = 4

// InTime is how long to wait for what comes within a time, or never.
func InTime(within time.Duration) time.Duration { return slower * within }

// atOnce is how long to wait for an end that has to come promptly: within less
// than the 11 s after which a drain that was forgotten ends by itself.
func atOnce(within time.Duration) time.Duration {
	return max(within, min(slower*within, 9*time.Second))
}

// Await polls until ok holds, and fails the test when it does not in time.
func Await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Holds(within, ok) {
		t.Fatalf("not within %v: %s", InTime(within), what)
	}
}

// Holds polls until ok holds, and reports whether it did in time.
func Holds(within time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(InTime(within))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
