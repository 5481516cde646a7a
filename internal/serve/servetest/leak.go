package servetest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Held is what this process has at a moment.
type Held struct {
	descriptors int // sockets, and files of tests
	goroutines  int
}

// Holds returns what this process has now.
func Holds() (Held, error) {
	h := Held{goroutines: runtime.NumGoroutine()}
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		name, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(name, "socket:") || strings.HasPrefix(name, os.TempDir()) {
			h.descriptors++
		}
	}
	return h, err
}

// Leaked waits until this process has no more than it had before, and returns an error if
// that does not come.
func (before Held) Leaked() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		now, err := Holds()
		if err != nil || now.descriptors <= before.descriptors && now.goroutines <= before.goroutines {
			return err
		}
		if time.Now().After(end) {
			stacks := make([]byte, 64<<10)
			return fmt.Errorf("%d descriptors, %d before; %d goroutines, %d before:\n%s",
				now.descriptors, before.descriptors, now.goroutines, before.goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// NoLeaks runs the test and fails if a goroutine or a descriptor is left over.
func NoLeaks(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	before, err := Holds()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("", test)
	if err := before.Leaked(); err != nil {
		t.Fatal(err)
	}
}
