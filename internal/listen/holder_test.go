package listen

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"phalanx/internal/systest"
)

// self returns the description of this process as the holder of a port.
func self(t *testing.T) string {
	t.Helper()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())
}

func TestHolder(t *testing.T) {
	for _, bind := range []string{"127.0.0.1", "::1", ""} {
		if bind != "127.0.0.1" && !systest.HasIPv6() {
			continue
		}
		s := mustOpen(t, Address{Host: bind, Short: true}, 2)
		if got := holder("/proc", s.Port); got != self(t) {
			t.Errorf("--bind %q is held by %q, want %q", bind, got, self(t))
		}
		s.Close()
		if got := holder("/proc", s.Port); got != "" {
			t.Errorf("a free port is held by %q", got)
		}
	}
	if got := holder(t.TempDir(), 80); got != "" {
		t.Errorf("without /proc a port is held by %q", got)
	}
}
