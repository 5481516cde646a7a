package archtest

import (
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
	"internal/serve":     {"internal/accesslog", "internal/conn", "internal/observe/scoreboard", "internal/site", "internal/proto", "internal/logging", "github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/ipc":       {"golang.org/x/sys/unix"},
	"internal/logging":   {"github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/listen":    {"internal/exitcode", "github.com/libp2p/go-reuseport", "golang.org/x/sys/unix"},
	"internal/website":   {"internal/options", "internal/site", "internal/conn", "internal/proto"},
	"internal/explain":   {"internal/exitcode", "internal/site", "internal/conn", "internal/proto"},
	"internal/control":   {"internal/ipc", "internal/conn", "internal/serve", "internal/observe/status"},
	"internal/supervise": {"internal/exitcode", "internal/ipc", "internal/observe/status", "github.com/rs/zerolog", "golang.org/x/sys/unix"},
	"internal/upgrade":   {"internal/listen", "internal/observe/scoreboard", "internal/supervise", "golang.org/x/sys/unix"},
	"internal/options":   {"internal/exitcode", "github.com/jessevdk/go-flags", "github.com/bmatcuk/doublestar/v4"},
	"internal/accesslog": {"internal/logging", "golang.org/x/sys/unix"},
	"internal/archtest":  {},
	"internal/exitcode":  {},
	"internal/observe/admin": {
		"internal/exitcode", "internal/observe/histogram", "internal/observe/status", "github.com/prometheus/client_golang/prometheus",
		"github.com/prometheus/client_golang/prometheus/collectors", "github.com/prometheus/client_golang/prometheus/promhttp",
		"github.com/prometheus/client_model/go", "golang.org/x/sys/unix",
	},

	"internal/serve/eventloop": {"internal/conn", "internal/observe/scoreboard", "internal/proto", "internal/ipc", "internal/serve", "golang.org/x/sys/unix"},
	"internal/serve/netpoll":   {"internal/conn", "internal/observe/scoreboard", "internal/serve", "golang.org/x/sys/unix"},
	"internal/serve/servetest": {"internal/conn", "internal/proto", "internal/serve", "internal/site", "github.com/rs/zerolog", "golang.org/x/sys/unix"},

	"internal/observe/histogram":  {},
	"internal/observe/status":     {"internal/observe/histogram"},
	"internal/observe/scoreboard": {"internal/observe/histogram", "golang.org/x/sys/unix"},
	"internal/observe/snapshot":   {"internal/accesslog", "internal/observe/scoreboard", "internal/observe/status", "internal/supervise", "golang.org/x/sys/unix"},
	"internal/observe/remote":     {"internal/observe/status"},
	"internal/observe/top":        {"internal/observe/status", "charm.land/bubbletea/v2", "charm.land/lipgloss/v2", "github.com/charmbracelet/x/ansi"},
}

// banned are parts of the standard library: what would let a room do I/O or
// read a clock, and HTTP that somebody else wrote.
var banned = map[string][]string{
	"internal/proto": {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"internal/conn":  {"net", "net/http", "net/url", "os", "io", "syscall", "log", "bufio"},
	"":               {"net/http", "net/url", "net/textproto", "mime", "mime/multipart"},
}

// excepted may have what is banned for everybody: the operator's side of the
// house, which never meets a client, and the client of tests.
var excepted = map[string][]string{
	"internal/observe/admin":   {"net/http", "net/url", "mime"},
	"internal/observe/remote":  {"net/http", "net/url", "mime"},
	"internal/serve/servetest": {"net/http"},
}

func TestImportsPointDown(t *testing.T) { PointDown(t, module, rooms) }

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
