package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs the command and returns its exit code and what it printed.
func call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	code := run(args, out, out)
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return code, string(text)
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--help"}, 0, "peers"},
		{nil, 64, "models, peers or report"},
		{[]string{"models", "--seconds", "soon"}, 64, "seconds"},
		{[]string{"report", "--results", "nowhere"}, 1, "there are no runs below nowhere/raw: make results"},
		{[]string{"models", "--bin", "nowhere"}, 1, "not found; run make build"},
	} {
		code, text := call(t, c.args...)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%q: exit code %d, %q", c.args, code, text)
		}
	}
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	recorded := filepath.Join("..", "internal", "report", "testdata", "raw")
	if err := os.CopyFS(filepath.Join(dir, "raw"), os.DirFS(recorded)); err != nil {
		t.Fatal(err)
	}
	if code, text := call(t, "report", "--results", dir); code != 0 {
		t.Fatalf("exit code %d: %s", code, text)
	}
	for _, name := range []string{"README.md", "report.pdf", "charts/siege.svg", "charts/siege.png"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuickRunIsNotWhole(t *testing.T) {
	if !(scope{Seconds: 60}).whole() || (scope{Seconds: 5}).whole() || (scope{Seconds: 60, Levels: []int{1}}).whole() {
		t.Error("a quick or partial run counts as whole, or a full run does not")
	}
}
