package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/internal/options"
)

// TestSourceArchive installs from files without a usable Git repository, as of a source archive. The directories have
// spaces in their names.
func TestSourceArchive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a source")
	for _, part := range []string{"cmd", "dist", "internal", "scripts"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile", "CHANGELOG.md"} {
		data, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "CHANGELOG.md"), at, at); err != nil {
		t.Fatal(err)
	}
	// Git refuses this repository, as it does one of another user.
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	execute := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir), "GOFLAGS=-buildvcs=auto",
			"SOURCE_DATE_EPOCH=", "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := execute("sh", "scripts/version.sh"); got != options.Version {
		t.Errorf("the version is %q, want %q", got, options.Version)
	}
	if got := execute("sh", "scripts/epoch.sh"); got != strconv.FormatInt(at.Unix(), 10) {
		t.Errorf("the timestamp is %q, want %d", got, at.Unix())
	}
	execute("make", "install", "VERSION=9.8.7", "BIN=the programs", "DESTDIR=root", "PREFIX=/usr")
	if got := execute("root/usr/bin/phalanx", "--version"); got != "phalanx 9.8.7" {
		t.Errorf("--version of the program: %q", got)
	}
}

// TestCannotBuild checks that make build says in one line why it cannot build here.
func TestCannotBuild(t *testing.T) {
	for set, want := range map[string]string{
		"GOOS=darwin": "Phalanx runs only on Linux, and this would build it for darwin; run GOOS=linux make build\n",
		"GO=no-go":    "no-go is not in the PATH; install Go, or name it with sudo: sudo make install GO=\"$(command -v go)\"\n",
	} {
		cmd := exec.Command("sh", "../scripts/build.sh", t.TempDir()+"/", "./cmd/worker")
		cmd.Env = append(os.Environ(), set)
		if out, err := cmd.CombinedOutput(); err == nil || string(out) != want {
			t.Errorf("%s: output %q, error %v; want %q and an error", set, out, err, want)
		}
	}
}
