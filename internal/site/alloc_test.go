package site

import (
	"os"
	"testing"

	"phalanx/internal/proto"
)

// A request for a small file allocates nothing once the pools are warm.
func TestOpenAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/a.html", []byte("a"), 0o644); err != nil {
		t.Fatal(err)
	}
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
	root, err := Open(dir, Policy{Index: []string{"index.html"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}
