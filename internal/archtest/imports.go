// Package archtest holds the house's plan (docs/design.md): imports point
// down its table, never up, and what must not know the world does not.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Package is what go list says of one.
type Package struct {
	ImportPath string
	Imports    []string // directly, without those of its tests
	Deps       []string // all of them
}

// Packages lists those beneath a module's path, which ends in a slash.
func Packages(t *testing.T, module string) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []Package
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// PointDown holds the packages beneath a module's internal folder to a plan:
// for each of them the packages of the house and the libraries that it may
// import. The standard library is open to all.
func PointDown(t *testing.T, module string, rooms map[string][]string) {
	t.Helper()
	seen := 0
	for _, p := range Packages(t, module) {
		room, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok || !strings.HasPrefix(room, "internal/") {
			continue
		}
		allowed, planned := rooms[room]
		if !planned {
			t.Errorf("%s is in no plan: add it to docs/design.md and to this test", p.ImportPath)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			if ours(imported) && !slices.Contains(allowed, strings.TrimPrefix(imported, module)) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
	if seen != len(rooms) {
		t.Errorf("%d of the %d planned rooms exist", seen, len(rooms))
	}
}

// ours reports whether a package is of the house or one of its libraries, and
// not of the standard library, none of whose paths begin with a host's name.
func ours(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "phalanx" || strings.Contains(first, ".")
}
