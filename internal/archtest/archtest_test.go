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

const module = "phalanx/"

// rooms says which packages of the house and which libraries each room may
// import. The standard library is open to all but where banned says no.
var rooms = map[string][]string{
	"internal/proto":     {},
	"internal/site":      {"internal/proto", "github.com/bmatcuk/doublestar/v4", "golang.org/x/sys/unix"},
	"internal/conn":      {"internal/proto"},
	"internal/serve":     {"internal/accesslog", "internal/conn", "internal/observe/scoreboard", "internal/site", "internal/proto", "internal/ipc", "internal/logging", "github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/ipc":       {"golang.org/x/sys/unix"},
	"internal/logging":   {"github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/listen":    {"internal/exitcode", "github.com/libp2p/go-reuseport", "golang.org/x/sys/unix"},
	"internal/website":   {"internal/options", "internal/site", "internal/conn", "internal/proto"},
	"internal/explain":   {"internal/exitcode", "internal/site", "internal/conn", "internal/proto"},
	"internal/control":   {"internal/ipc", "internal/conn", "internal/serve", "internal/observe/status"},
	"internal/supervise": {"internal/exitcode", "internal/ipc", "internal/observe/status", "github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/upgrade":   {"internal/listen", "internal/observe/scoreboard", "internal/supervise", "golang.org/x/sys/unix"},
	"internal/console":   {"internal/supervise"},
	"internal/options":   {"internal/exitcode", "github.com/jessevdk/go-flags", "github.com/bmatcuk/doublestar/v4"},
	"internal/accesslog": {"internal/logging", "golang.org/x/sys/unix"},
	"internal/archtest":  {},
	"internal/exitcode":  {},
	"internal/observe/admin": {
		"internal/exitcode", "internal/observe/histogram", "internal/observe/status", "github.com/prometheus/client_golang/prometheus",
		"github.com/prometheus/client_golang/prometheus/collectors", "github.com/prometheus/client_golang/prometheus/promhttp",
		"github.com/prometheus/client_model/go", "golang.org/x/sys/unix",
	},

	"internal/observe/histogram":  {},
	"internal/observe/status":     {"internal/observe/histogram"},
	"internal/observe/scoreboard": {"internal/observe/histogram", "golang.org/x/sys/unix"},
	"internal/observe/snapshot":   {"internal/accesslog", "internal/observe/scoreboard", "internal/observe/status", "internal/supervise", "golang.org/x/sys/unix"},
	"internal/observe/remote":     {"internal/observe/status"},
	"internal/observe/top":        {"internal/observe/status", "charm.land/bubbletea/v2", "charm.land/lipgloss/v2", "github.com/charmbracelet/x/ansi"},

	"internal/bench/stats":    {},
	"internal/bench/record":   {},
	"internal/bench/plan":     {"internal/bench/record"},
	"internal/bench/tool":     {"internal/bench/record"},
	"internal/bench/proctree": {},
	"internal/bench/machine":  {"internal/bench/record", "golang.org/x/sys/unix"},
	"internal/bench/target":   {"internal/bench/proctree", "internal/bench/record"},
	"internal/bench/load":     {"golang.org/x/sys/unix"},
	"internal/bench/measure": {
		"internal/bench/load", "internal/bench/plan", "internal/bench/proctree", "internal/bench/record",
		"internal/bench/stats", "internal/bench/target", "internal/bench/tool", "golang.org/x/sys/unix",
	},
	"internal/bench/campaign": {"internal/bench/plan", "internal/bench/record", "github.com/schollz/progressbar/v3"},
	"internal/bench/chart": {
		"gonum.org/v1/plot", "gonum.org/v1/plot/font", "gonum.org/v1/plot/font/liberation", "gonum.org/v1/plot/plotter",
		"gonum.org/v1/plot/text", "gonum.org/v1/plot/vg", "gonum.org/v1/plot/vg/draw", "gonum.org/v1/plot/vg/vgimg",
		"gonum.org/v1/plot/vg/vgsvg",
	},
	"internal/bench/document": {"internal/bench/chart"},
	"internal/bench/markdown": {"internal/bench/document"},
	"internal/bench/pdf": {
		"internal/bench/document", "codeberg.org/go-pdf/fpdf",
		"codeberg.org/go-fonts/liberation/liberationsansbold", "codeberg.org/go-fonts/liberation/liberationsansregular",
	},
	"internal/bench/report": {
		"internal/bench/chart", "internal/bench/document", "internal/bench/plan", "internal/bench/record",
		"internal/bench/stats", "internal/bench/target",
	},
}

// banned are parts of the standard library: what would let a room do I/O or
// read a clock, and HTTP that somebody else wrote.
var banned = map[string][]string{
	"internal/proto": {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/conn":  {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"":               {"net/http", "net/url", "net/textproto", "mime", "mime/multipart"},
}

// excepted may have what is banned for everybody: the operator's side of the
// house, which never meets a client.
var excepted = map[string][]string{
	"internal/observe/admin":  {"net/http", "net/url", "mime"},
	"internal/observe/remote": {"net/http", "net/url", "mime"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "phalanx/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
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

func TestImportsPointDown(t *testing.T) {
	seen := 0
	for _, p := range list(t) {
		room, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok || !strings.HasPrefix(room, "internal/") {
			continue
		}
		allowed, planned := rooms[room]
		if !planned {
			t.Errorf("%s is in no plan: add it to docs/design.md and to this test", room)
			continue
		}
		seen++
		for _, imported := range p.Imports {
			name := strings.TrimPrefix(imported, module)
			foreign := name != imported || strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
			if foreign && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s", room, name)
			}
		}
	}
	if seen != len(rooms) {
		t.Errorf("%d of the %d planned rooms exist", seen, len(rooms))
	}
}

func TestBannedImports(t *testing.T) {
	for _, p := range list(t) {
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
	for _, p := range list(t) {
		if p.ImportPath == module+"cmd/worker" && slices.Contains(p.Deps, "net/http") {
			t.Error("cmd/worker depends on net/http")
		}
	}
}
