package top

import (
	"strings"
	"testing"

	"phalanx/internal/observe/status"
)

// A snapshot says how many workers have a keeper, if any has.
func TestSnapshotShowsKeepers(t *testing.T) {
	p := status.Pool{Workers: []status.Worker{{PID: 1, Keeper: 2}, {PID: 3}}}
	if got := Snapshot(p, 80); !strings.Contains(got, "keepers     1, for 2 workers\n") {
		t.Errorf("%s", got)
	}
	p.Workers[0].Keeper = 0
	if got := Snapshot(p, 80); strings.Contains(got, "keepers") {
		t.Errorf("without keepers: %s", got)
	}
}
