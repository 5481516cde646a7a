package archtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "phalanx/"

// row is one of the table in docs/design.md: a room and what it imports.
var row = regexp.MustCompile("(?m)^\\| `(internal/[^`]+)` \\|.*\\| ([^|]*) \\|$")

// rooms reads the plan from the table of docs/design.md.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	text := read(t, "../../docs/design.md")
	plan := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		plan[m[1]] = strings.Split(m[2], ", ")
		if m[2] == "std" {
			plan[m[1]] = nil
		}
	}
	return plan
}

// banned are parts of the standard library: what would let a room do I/O or
// read a clock, and HTTP that somebody else wrote.
var banned = map[string][]string{
	"internal/proto":       {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/rules":       {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/conn":        {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/tlsconn":     {"os", "syscall", "log", "bufio"},
	"internal/certificate": {"net", "os", "io", "syscall", "log", "bufio"},
	"":                     {"net/http", "net/url", "net/textproto", "mime", "mime/multipart"},
}

// excepted may have what is banned for everybody: the operator's side of the
// house, which never meets a client, the client of certificate authorities, and that of
// tests.
var excepted = map[string][]string{
	"internal/acme":            {"net/http", "net/url"},
	"internal/acme/acmetest":   {"net/url"},
	"internal/observe/admin":   {"net/http", "net/url", "mime"},
	"internal/observe/remote":  {"net/http", "net/url", "mime"},
	"internal/serve/servetest": {"net/http"},
}

func TestImportsPointDown(t *testing.T) { PointDown(t, module, rooms(t)) }

func TestBannedImports(t *testing.T) {
	for _, p := range Packages(t, module) {
		room := strings.TrimPrefix(p.ImportPath, module)
		bans := banned[room]
		if strings.HasPrefix(room, "internal/") || room == "cmd/master" || room == "cmd/worker" {
			bans = append(slices.Clone(bans), banned[""]...)
		}
		for _, b := range bans {
			if slices.Contains(p.Imports, b) && !slices.Contains(excepted[room], b) {
				t.Errorf("%s imports %s", room, b)
			}
		}
	}
}

// A worker must not carry a ready-made HTTP server at all.
func TestWorkerHasNoForeignHTTP(t *testing.T) {
	for _, p := range Packages(t, module) {
		if p.ImportPath == module+"cmd/worker" && slices.Contains(p.Deps, "net/http") {
			t.Error("cmd/worker depends on net/http")
		}
	}
}
