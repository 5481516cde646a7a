// Package archtest checks that packages import only what the table in docs/design.md
// lists, and that documents, the Makefile and the sizes of files follow the rules.
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
	Doc        string   // first sentence of its comment
	Imports    []string // directly, without those of its tests
	Deps       []string // all of them
}

// Packages lists those beneath a module's path, which ends in a slash.
func Packages(t *testing.T, module string) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Deps", module+"...")
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

// PointDown checks the imports of the packages beneath a module's internal directory.
// plan lists for each of them the packages of this repository and the libraries that it
// imports, each by the end of its path or, for a library, by a part of it. The standard
// library is open to all.
func PointDown(t *testing.T, module string, plan map[string][]string) {
	t.Helper()
	seen := 0
	for _, p := range Packages(t, module) {
		name, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok || !strings.HasPrefix(name, "internal/") {
			continue
		}
		allowed, planned := plan[name]
		if !planned {
			t.Errorf("%s is in no plan", p.ImportPath)
			continue
		}
		seen++
		imports := slices.DeleteFunc(slices.Clone(p.Imports), func(path string) bool { return !ours(path) })
		for _, path := range imports {
			if !slices.ContainsFunc(allowed, func(name string) bool { return names(name, path) }) {
				t.Errorf("%s imports %s, which is not in the plan", p.ImportPath, path)
			}
		}
		for _, name := range allowed {
			if !slices.ContainsFunc(imports, func(path string) bool { return names(name, path) }) {
				t.Errorf("%s does not import %s, as the plan says", p.ImportPath, name)
			}
		}
	}
	if seen != len(plan) {
		t.Errorf("%d of the %d planned packages exist", seen, len(plan))
	}
}

// names reports whether a name of the plan stands for a package.
func names(name, path string) bool {
	if strings.HasPrefix(path, "phalanx/") {
		return strings.HasSuffix(path, "/"+name)
	}
	return strings.Contains("/"+path+"/", "/"+name+"/")
}

// ours reports whether a package is of this repository or one of its libraries. No path of
// the standard library begins with a host name.
func ours(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first == "phalanx" || strings.Contains(first, ".")
}
