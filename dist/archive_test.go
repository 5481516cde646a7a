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

// TestArchiveInRepository takes version and dates of a source archive that was unpacked in a repository of something
// else, such as a distribution's: that repository's commits have no effect.
func TestArchiveInRepository(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "source")
	for _, file := range []string{"scripts/version.sh", "scripts/epoch.sh", "scripts/build.sh", "internal/options/version.go", "CHANGELOG.md"} {
		output(t, "install", "-D", "../"+file, filepath.Join(dir, file))
	}
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "CHANGELOG.md"), at, at); err != nil {
		t.Fatal(err)
	}
	// Instead of a compiler: it prints the flags that it gets.
	const compiler = "#!/bin/sh\ncase \"$1 $2\" in 'env GOOS') echo linux ;; 'env GOARCH') echo amd64 ;; *) echo \"$*\" ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(compiler), 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "git", "-C", outer, "init", "--quiet")
	output(t, "git", "-C", outer, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false",
		"commit", "--quiet", "--allow-empty", "--message=a")
	script := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command("sh", append([]string{"scripts/" + name}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GO=./go", "VERSION=9.8.7", "SOURCE_DATE_EPOCH=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := script("version.sh"); got != options.Version {
		t.Errorf("the version is %q, want %q", got, options.Version)
	}
	if got := script("epoch.sh"); got != strconv.FormatInt(at.Unix(), 10) {
		t.Errorf("the timestamp is %q, want %d", got, at.Unix())
	}
	if got := script("build.sh", "bin/", "./cmd/master"); !strings.Contains(got, "options.Version=9.8.7") || strings.Contains(got, "options.Released=") {
		t.Errorf("go %q, want the version 9.8.7 and the date in the source", got)
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
