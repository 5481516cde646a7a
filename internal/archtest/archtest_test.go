package archtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "phalanx/"

// row matches a row of the table in docs/design.md: a package and its imports.
var row = regexp.MustCompile("(?m)^\\| `(internal/[^`]+)` \\|.*\\| ([^|]*) \\|$")

// plan reads the packages and their imports from the table in docs/design.md.
func plan(t *testing.T) map[string][]string {
	t.Helper()
	text := read(t, "../../docs/design.md")
	imports := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		imports[m[1]] = strings.Split(m[2], ", ")
		if m[2] == "std" {
			imports[m[1]] = nil
		}
	}
	return imports
}

// banned lists packages of the standard library: those with which a package could do I/O
// or read a clock, and implementations of HTTP.
var banned = map[string][]string{
	"internal/proto":       {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/rules":       {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/conn":        {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/tlsconn":     {"os", "syscall", "log", "bufio"},
	"internal/certificate": {"net", "os", "io", "syscall", "log", "bufio"},
	"":                     {"net/http", "net/url", "net/textproto", "mime", "mime/multipart"},
}

// excepted lists packages that may import banned ones: those for the operator, which
// never serve a client, the client of certificate authorities, and those for tests.
var excepted = map[string][]string{
	"internal/acme":            {"net/http", "net/url"},
	"internal/acme/acmetest":   {"net/url"},
	"internal/observe/admin":   {"net/http", "net/url", "mime"},
	"internal/observe/remote":  {"net/http", "net/url", "mime"},
	"internal/serve/servetest": {"net/http"},
}

func TestImportsPointDown(t *testing.T) { PointDown(t, module, plan(t)) }

func TestBannedImports(t *testing.T) {
	for _, p := range Packages(t, module) {
		name := strings.TrimPrefix(p.ImportPath, module)
		bans := banned[name]
		if strings.HasPrefix(name, "internal/") || name == "cmd/master" || name == "cmd/worker" {
			bans = append(slices.Clone(bans), banned[""]...)
		}
		for _, b := range bans {
			if slices.Contains(p.Imports, b) && !slices.Contains(excepted[name], b) {
				t.Errorf("%s imports %s", name, b)
			}
		}
	}
}

func TestPackagesAreDescribed(t *testing.T) {
	for _, p := range Packages(t, module) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if p.Doc == "" && (strings.HasPrefix(name, "internal/") || strings.HasPrefix(name, "cmd/")) {
			t.Errorf("%s has no comment that describes it", name)
		}
	}
}

// A worker must not contain net/http's server.
func TestWorkerHasNoForeignHTTP(t *testing.T) {
	for _, p := range Packages(t, module) {
		if p.ImportPath == module+"cmd/worker" && slices.Contains(p.Deps, "net/http") {
			t.Error("cmd/worker depends on net/http")
		}
	}
}
