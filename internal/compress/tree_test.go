package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// old is the modification time of the tests' files.
var old = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// grow writes files into a tree.
func grow(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o640), os.Chmod(path, 0o640), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
}

// run compresses a tree.
func run(t *testing.T, ctx context.Context, dir string, more func(*Config)) (Result, error) {
	t.Helper()
	root, err := site.Open(dir, site.Policy{Rules: true})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	cfg := Config{Codings: codings, Level: Fast, Jobs: 2}
	if more != nil {
		more(&cfg)
	}
	return Tree(ctx, root, cfg)
}

// names returns the files beneath a directory, without the journal.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(dir, path); err == nil && !d.IsDir() && name != journalName {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func same(t *testing.T, what string, got Result, err error, want Result) {
	t.Helper()
	got.Before, got.After = 0, 0
	if err != nil || got != want {
		t.Errorf("%s: %+v, %v\nwant %+v", what, got, err, want)
	}
}

// A run compresses the served files that are worth it. Later runs process changed files
// only.
func TestTree(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(i * i * i >> 7)
	}
	grow(t, dir, map[string][]byte{
		"index.html": text(5000), "a/b/app.js": text(20000), "a/photo.jpg": text(5000), "small.css": text(100),
		".hidden.html": text(5000), "_headers": text(5000), "a/b/" + strings.Repeat("n", 255-5) + ".html": text(3000),
	})
	if err := os.Symlink("b/app.js", dir+"/a/link.js"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir+"/out"); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, ctx, dir, nil)
	same(t, "first run", got, err, Result{Files: 4, Made: 9})
	want := []string{"index.html.br", "index.html.gz", "index.html.zst", "a/link.js.br", "a/b/app.js.zst"}
	for _, name := range want {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || !info.ModTime().Equal(old) || info.Mode() != 0o640 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if all := names(t, dir); len(all) != 9+9 || slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(filepath.Base(s), site.OwnPrefix) }) {
		t.Errorf("files %q", all)
	}
	got, err = run(t, ctx, dir, nil)
	same(t, "second run", got, err, Result{Files: 4, UpToDate: 9})

	// One file changes, another is removed, and a third becomes incompressible.
	grow(t, dir, map[string][]byte{"index.html": text(6000), "a/b/app.js": noise})
	if err := errors.Join(os.Chtimes(dir+"/index.html", old, old.Add(-time.Hour)), os.Chtimes(dir+"/a/b/app.js", old, old.Add(time.Second)), os.Remove(dir+"/a/link.js")); err != nil {
		t.Fatal(err)
	}
	got, err = run(t, ctx, dir, func(c *Config) { c.DryRun = true })
	same(t, "dry run", got, err, Result{Files: 3, Made: 6, Removed: 3})
	got, err = run(t, ctx, dir, nil)
	same(t, "third run", got, err, Result{Files: 3, Made: 3, NotWorth: 3, Removed: 3})
	f, err := os.Open(dir + "/index.html.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if d, err := decoder(f, proto.Gzip); err != nil || !bytes.Equal(must(io.ReadAll(d)), text(6000)) {
		t.Errorf("index.html.gz is not a copy of the current file: %v", err)
	}
	got, err = run(t, ctx, dir, nil)
	same(t, "fourth run", got, err, Result{Files: 3, UpToDate: 3, NotWorth: 3})
	if all := names(t, dir); slices.Contains(all, "a/b/app.js.br") || slices.Contains(all, "a/link.js.br") {
		t.Errorf("files %q", all)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// A copy that somebody else made is kept. It is served unless it is older than its file.
func TestForeignCopyIsKept(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, map[string][]byte{"a.html": text(5000), "b.html": text(5000), "a.html.gz": []byte("A"), "b.html.gz": []byte("B"), "c.html.gz": []byte("C")})
	if err := os.Chtimes(dir+"/b.html.gz", old, old.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, context.Background(), dir, func(c *Config) { c.Codings = []proto.Coding{proto.Gzip} })
	same(t, "run", got, err, Result{Files: 2, UpToDate: 1, Foreign: 1, FirstForeign: "b.html.gz"})
	for _, name := range []string{"a", "b", "c"} {
		if b := must(os.ReadFile(dir + "/" + name + ".html.gz")); string(b) != strings.ToUpper(name) {
			t.Errorf("%s.html.gz is %q", name, b)
		}
	}
}

// An interrupted run leaves complete copies, and the next run makes the others. A killed run
// leaves a temporary file, which the next run removes.
func TestInterruptedRun(t *testing.T) {
	dir := t.TempDir()
	files := make(map[string][]byte)
	for i := range 20 {
		files[fmt.Sprintf("%d.html", i)] = text(20000)
	}
	grow(t, dir, files)
	ctx, end := context.WithCancel(context.Background())
	got, err := run(t, ctx, dir, func(c *Config) {
		c.Progress = func(p Progress) {
			if p.AllCopies != 60 || p.Bytes > p.AllBytes {
				t.Errorf("%+v", p)
			}
			if p.Copies == 7 {
				end()
			}
		}
	})
	if !errors.Is(err, context.Canceled) || got.Made < 7 || got.Made > 7+2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if all := names(t, dir); len(all) != 20+got.Made {
		t.Errorf("files %q", all)
	}
	// The state after a kill: a partial copy, and half a line at the end of the journal.
	j := must(os.ReadFile(filepath.Join(dir, journalName)))
	j = append(j, "begun \"gone.html.br\" 0 0\nmade \"0.ht"...)
	left := filepath.Join(dir, temporary("gone.html.br"))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, journalName), j, 0o600), os.WriteFile(left, []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	again, err := run(t, context.Background(), dir, nil)
	same(t, "again", again, err, Result{Files: 20, Made: 60 - got.Made, UpToDate: got.Made})
	if all := names(t, dir); len(all) != 20+60 {
		t.Errorf("files %q", all)
	}
}

// An error with one file does not stop the others, and is reported. A second process has to
// wait.
func TestTreeErrors(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, map[string][]byte{"a.html": text(5000), "b.html": text(5000)})
	if err := os.Mkdir(filepath.Join(dir, temporary("a.html.gz")), 0o700); err != nil {
		t.Fatal(err)
	}
	gzip := func(c *Config) { c.Codings = []proto.Coding{proto.Gzip} }
	got, err := run(t, context.Background(), dir, gzip)
	if err != nil || got.Made != 1 || got.Failed != 1 || got.First == nil || got.First.Error() != "write a.html.gz: is a directory" {
		t.Errorf("%+v, %v", got, err)
	}
	f, err := os.Open(filepath.Join(dir, journalName))
	if err != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX) != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := run(t, context.Background(), dir, gzip); !errors.Is(err, ErrBusy) {
		t.Errorf("while another one runs: %v", err)
	}
}
