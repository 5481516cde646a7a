package top

import (
	"testing"

	"phalanx/internal/observe/status"
)

func TestHelper(t *testing.T) {
	for _, tt := range []struct {
		helper      *status.Helper
		long, short string
	}{
		{&status.Helper{}, "not running; 0 compressed copies, of 0 B", "0 compressed"},
		{&status.Helper{PID: 47, Waiting: 1, Made: 1, Before: 5000, After: 1200}, "pid 47, 1 job waits; 1 compressed copy, of 5.00 kB now 1.20 kB", "helper 47, 1 job waits"},
		{&status.Helper{Deaths: 2, Made: 2000, Before: 45_000_000, After: 9_000_000}, "not running; 2,000 compressed copies, of 45.0 MB now 9.00 MB; died 2 times", "2,000 compressed"},
	} {
		if long, short := helperSummary(tt.helper), helperBrief(tt.helper); long != tt.long || short != tt.short {
			t.Errorf("%+v: %q and %q\nwant %q and %q", tt.helper, long, short, tt.long, tt.short)
		}
	}
	if helperBrief(nil) != "" {
		t.Error("a missing helper is mentioned")
	}
}
