package site

import (
	"testing"

	"phalanx/internal/proto"
)

// A request for a small file allocates nothing once the pools are warm.
func TestOpenAllocatesNothing(t *testing.T) {
	dir := planted(t, "a.html: a")
	root := openRoot(t, dir)
	path, access := []byte("/a.html"), new(proto.Access)
	allocs := testing.AllocsPerRun(200, func() {
		f, status := root.Open(path, proto.Codings{}, access)
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		f.Close()
	})
	if allocs != 0 {
		t.Errorf("Open allocates %v times", allocs)
	}
}

func openRoot(t testing.TB, dir string) *Root {
	t.Helper()
	return openWith(t, dir, Policy{Index: []string{"index.html"}})
}

// openWith opens a root until the end of the test.
func openWith(t testing.TB, dir string, policy Policy) *Root {
	t.Helper()
	root, err := Open(dir, policy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	return root
}
