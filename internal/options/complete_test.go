package options

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phalanx/internal/exitcode"
)

// candidates returns the candidates that a shell gets.
func candidates(t *testing.T, args ...string) []string {
	t.Helper()
	t.Setenv(envCompletion, "1")
	_, err := parseMaster(args, os.Getenv)
	var info *Info
	if !errors.As(err, &info) {
		t.Fatalf("%q: %v, want candidates", args, err)
	}
	var items []string
	for line := range strings.Lines(info.Text) {
		item, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		items = append(items, item)
	}
	return items
}

func TestComplete(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"site", "site/a b", "sites", ".hidden"} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, "side.conf", "odd\nname")
	if err := os.Symlink("sites", "sit"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"", "completion compress config explain help man reload scale share status stop top version sit/ site/ sites/"},
		{"st", "status stop"}, {"s", "scale share status stop sit/ site/ sites/"},
		{"help|rel", "reload"}, {"help|po", "port"},
		{"man", "man"}, {"comp", "completion compress"},
		{"--mod", "--model"},
		{"--model|", "goroutine process serial"},
		{"--model=s", "--model=serial"},
		{"--engine|e", "epoll"},
		{"--log-format|", "auto console json"},
		{"--access-log-format|c", "combined common"},
		{"-l|si", "sit/ site/ sites/"}, {"site|s", ""},
		{"--port|80|st", ""}, // a command comes first
		{"--slo", ""},
		{"--base|", "sit/ site/ sites/"},
		{"--base|s", "sit/ site/ sites/"},
		{"--base=site/", "--base=site/a b/"},
		{"--base|.h", ".hidden/"},
		{"--base|none/", ""},
		{"--base|" + dir + "/site", dir + "/site/ " + dir + "/sites/"},
		{"--config|si", "side.conf sit/ site/ sites/"},
		{"--worker|sid", "side.conf"},
		{"--access-log|sid", "side.conf"},
		{"--admin|", ""},
		{"--admin|./sid", "./side.conf"},
		{"completion|", "bash fish zsh"},
		{"completion|z", "zsh"},
		{"top|--", "--admin --admin-token-file --help --interval"},
		{"status|--j", "--json"},
		{"reload|--base", ""},
		{"explain|--ba", "--base"},
		{"explain|--model|p", "process"},
		{"scale|--admin|./sid", "./side.conf"},
		{"scale|", ""},
		{"status|st", ""},
	} {
		if got := strings.Join(candidates(t, strings.Split(tt.args, "|")...), " "); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	if flags := candidates(t, "--"); !slices.Contains(flags, "--port") || slices.Contains(flags, "--slot") || slices.Contains(flags, "--json") {
		t.Errorf("flags: %q", flags)
	}
}

// A completion starts nothing, whatever the command line and the variable are.
func TestCompleteStartsNothing(t *testing.T) {
	asks := func(key string) string { return map[string]string{envCompletion: "1"}[key] }
	for _, asked := range []string{"", "1", "verbose"} {
		t.Setenv(envCompletion, asked)
		for _, args := range [][]string{nil, {""}, {"--port", "0"}, {"--nonsense"}, {"--port", "x", ""}, {"--help"}, {"stop", "--admin", "a:1", ""}, {"stop"}, {"explain", "/"}} {
			getenv := os.Getenv
			if asked == "" {
				getenv = asks
			}
			_, err := parseMaster(args, getenv)
			c, also := parseCommand("phalanx", args, getenv)
			_, info := errors.AsType[*Info](err)
			if _, usage := errors.AsType[*exitcode.Error](err); c != nil || !info && !usage || also == nil {
				t.Errorf("%q, completion %q: %v, %v, %v", args, asked, err, c, also)
			}
		}
		if asked == "" {
			continue
		}
		if _, err := ParseWorker(defaults().WorkerArgs(0, 3)); err == nil {
			t.Error("a worker starts")
		}
		if _, err := parseMaster([]string{"--port", "0"}, noEnv); err == nil {
			t.Error("a server starts")
		}
	}
}

// The test of the installation runs these scripts with the real shells.
func TestScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		_, err := parseCommand("phalanx-2.0", []string{"completion", shell}, noEnv)
		if info, ok := errors.AsType[*Info](err); !ok || strings.Contains(info.Text, "@NAME@") ||
			!strings.Contains(info.Text, "phalanx_2_0") || !strings.Contains(info.Text, "GO_FLAGS_COMPLETION=1") {
			t.Errorf("%s: %v", shell, err)
		}
	}
	for args, want := range map[string]string{
		"":     "SHELL is missing; see 'phalanx completion --help'",
		"tcsh": "tcsh: must be bash, zsh or fish",
	} {
		if _, err := parseCommand("phalanx", append([]string{"completion"}, strings.Fields(args)...), noEnv); err == nil || err.Error() != want {
			t.Errorf("completion %s: %v, want %s", args, err, want)
		}
	}
	files, err := filepath.Glob("shell/*")
	if err != nil || len(files) != 3 {
		t.Errorf("%d scripts, %v", len(files), err)
	}
}
