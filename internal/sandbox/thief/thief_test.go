package thief

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/security.md lists exactly the attempts.
func TestAttemptsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## What a worker cannot do\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, m[1])
	}
	if len(documented) < 2 || documented[0] != "attempt" {
		t.Fatalf("the table has the rows %q", documented)
	}
	documented = documented[1:]
	tried := map[string]bool{}
	names := map[string]bool{}
	for _, a := range All() {
		if tried[a.Kind] = true; !slices.Contains(documented, a.Kind) {
			t.Errorf("docs/security.md has no row for %s: %s", a.Name, a.Kind)
		}
		if names[a.Name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(a.Name) {
			t.Errorf("the name %q is invalid or not unique", a.Name)
		}
		names[a.Name] = true
	}
	for _, line := range documented {
		if !tried[line] {
			t.Errorf("no attempt for: %s", line)
		}
	}
}
