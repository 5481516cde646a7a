package harness

import (
	"testing"
	"time"
)

// ClientTimeout is how long the operations of a client may take, from its connection or
// [Client.Renew] on.
const ClientTimeout = 60 * time.Second

// slower is the factor by which deadlines are extended. They say how long
// something may take on an idle machine, and the tests must pass on one that is
// four times slower.
const slower = 4

// InTime returns how long to wait for what takes at most within on an idle
// machine.
func InTime(within time.Duration) time.Duration { return slower * within }

// atOnce is InTime for an end that must come promptly: at most 9 s, unless within
// is longer. After 11 s timeouts would end even a drain that is stuck.
func atOnce(within time.Duration) time.Duration {
	return max(within, min(slower*within, 9*time.Second))
}

// Await polls until ok holds, and fails the test if it does not in time.
func Await(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Holds(within, ok) {
		t.Fatalf("not within %v: %s", InTime(within), what)
	}
}

// Holds polls until ok holds, and reports whether it did in time.
func Holds(within time.Duration, ok func() bool) bool {
	const least, most = 5 * time.Millisecond, 50 * time.Millisecond
	deadline := time.Now().Add(InTime(within))
	for {
		began := time.Now()
		switch {
		case ok():
			return true
		case began.After(deadline):
			return false
		}
		// A look at all processes takes CPU time, which the server may need more.
		time.Sleep(min(max(least, 2*time.Since(began)), most))
	}
}
