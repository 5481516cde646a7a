package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A kernel refuses access rights that its version of Landlock does not know.
func TestHandled(t *testing.T) {
	for version, want := range map[int]struct{ files, ports, scope uint64 }{
		1:  {0x1fff, 0, 0},
		2:  {0x3fff, 0, 0},
		3:  {0x7fff, 0, 0},
		4:  {0x7fff, 3, 0},
		5:  {0xffff, 3, 0},
		6:  {0xffff, 3, 3},
		99: {0xffff, 3, 3},
	} {
		want := unix.LandlockRulesetAttr{Handled_access_fs: want.files, Handled_access_net: want.ports, Scoped: want.scope}
		if got := handled(version); got != want {
			t.Errorf("version %d: %#x, want %#x", version, got, want)
		}
	}
}
