package compress

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Somebody who may write into a tree, and is not the one who compresses it, cannot have files
// removed by a journal of their own, nor keep the run waiting by one that is a pipe.
func TestPlantedJournal(t *testing.T) {
	for what, plant := range map[string]func(path, made string) error{
		"others may write it": func(path, made string) error {
			return errors.Join(os.WriteFile(path, []byte(made), 0o600), os.Chmod(path, 0o622))
		},
		"another name of a file": func(path, made string) error {
			return errors.Join(os.WriteFile(path+"-link", []byte(made), 0o600), os.Link(path+"-link", path))
		},
		"pipe": func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"another owner": func(path, made string) error {
			err := os.WriteFile(path, []byte(made), 0o600)
			if os.Geteuid() != 0 {
				return errors.Join(err, os.Chmod(path, 0o666)) // only root can give a file away
			}
			return errors.Join(err, os.Chown(path, 65534, 65534))
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			grow(t, dir, map[string][]byte{"gone.html.gz": text(3000)})
			made := fmt.Sprintf("made %q 3000 %d\n", "gone.html.gz", old.UnixNano())
			if err := plant(filepath.Join(dir, journalName), made); err != nil {
				t.Fatal(err)
			}
			for _, dry := range []bool{true, false} {
				got, err := run(t, context.Background(), dir, func(c *Config) { c.DryRun = dry })
				if err == nil || !strings.Contains(err.Error(), journalName) || got != (Result{}) {
					t.Errorf("dry run %v: %+v, %v", dry, got, err)
				}
			}
			if !slices.Contains(names(t, dir), "gone.html.gz") {
				t.Error("a file was removed")
			}
		})
	}
}

// Whatever a journal says, only copies are removed.
func TestOnlyCopiesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, map[string][]byte{"important.php": text(3000), "gone.html.gz": text(3000)})
	var made strings.Builder
	for _, name := range []string{"important.php", "gone.html.gz"} {
		fmt.Fprintf(&made, "made %q 3000 %d\n", name, old.UnixNano())
	}
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(made.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, context.Background(), dir, func(c *Config) { c.Codings = []proto.Coding{proto.Gzip} })
	if all := names(t, dir); err != nil || got.Removed != 1 || !slices.Equal(all, []string{"important.php"}) {
		t.Errorf("%+v, %v; files %q", got, err, all)
	}
}

// A file of another place, of which somebody has made a link under a name that is written
// to, stays as it is.
func TestPlantedLink(t *testing.T) {
	for _, name := range []string{temporary("a.html.gz"), journalName + ".new"} {
		dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
		grow(t, dir, map[string][]byte{"a.html": text(5000)})
		if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o666), os.Link(victim, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		got, err := run(t, context.Background(), dir, func(c *Config) { c.Codings = []proto.Coding{proto.Gzip} })
		same(t, name, got, err, Result{Files: 1, Made: 1})
		if b := must(os.ReadFile(victim)); string(b) != "precious" {
			t.Errorf("%s: the file is %q", name, b)
		}
	}
}
