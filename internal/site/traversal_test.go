package site

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// plantTrap creates a root beside a secret file, with the usual ways out.
func plantTrap(t testing.TB) (dir string) {
	t.Helper()
	outside := t.TempDir()
	dir = filepath.Join(outside, "root")
	plant(t, outside, "root/", "secret.txt: "+secret, "root.txt: "+secret)
	plant(t, dir, "index.html: home", "a/", "a/index.html: A", "a/b/", "a/b/c.txt: C", "out -> ..", "abs -> "+outside, "secret.txt -> ../secret.txt")
	return dir
}

// traversals returns paths that lead out of the root if a server decodes or normalises them once
// too often.
func traversals() (paths []string) {
	dots := []string{
		"..", ".", "...", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%252e%252e", "%%32%65%%32%65", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae",
		"%uff0e%uff0e", "\u2025", "\uff0e\uff0e", "..%00", "%00..", "..;", "..;a=b", "..%20", "..%09", "%2e%2e%0a", "..%5c", `..\`, "..?", "..#",
	}
	slashes := []string{"/", "//", "%2f", "%2F", "%252f", `\`, "%5c", "%c0%af", "%e0%80%af", "%uff0f", "\u2215", "/./", "%00/"}
	prefixes := []string{"/", "/a/", "/a/b/", "", "//", "/out/", "/abs/"}
	for _, prefix := range prefixes {
		for _, dot := range dots {
			for _, slash := range slashes {
				for _, depth := range []int{1, 3} {
					paths = append(paths, prefix+strings.Repeat(dot+slash, depth)+"secret.txt")
				}
			}
		}
	}
	return append(paths, "/secret.txt", "/out/secret.txt", "/abs/secret.txt", "/..", "/../", "/%2e%2e", "/a/..", "/a/../", "/../root.txt",
		"/..root.txt", "/../root/index.html", "/a/b/../../index.html", "/etc/passwd", "//etc/passwd", "/%2fetc/passwd", "file:///etc/passwd",
		"/c:/secret.txt", `/c:\secret.txt`, "/proc/self/root/etc/passwd", "/~root/", "/-/../secret.txt", "/secret.txt%00.html", "/secret.txt.",
		"/secret.txt::$DATA", "/secret.txt/", "/secret.txt%20", "../secret.txt", "..", "%2e%2e/secret.txt")
}

func TestTraversal(t *testing.T) {
	paths := traversals()
	if len(paths) < 500 {
		t.Fatalf("only %d spellings", len(paths))
	}
	bothWays(t, plantTrap(t), func(t *testing.T, r *Root) {
		for _, path := range paths {
			got, status := fetch(t, r, path, proto.Codings{})
			switch status {
			case proto.StatusBadRequest, proto.StatusForbidden, proto.StatusNotFound:
			default:
				t.Errorf("%q: %d %q", path, status, got)
			}
		}
	})
}

// While a directory is exchanged with a link that leads outside, a request for a file in it gets the
// one inside or none.
func TestSwappedLink(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "root")
	plant(t, outside, "root/", "f: "+secret)
	plant(t, dir, "d/", "d/f: inside", "l -> ..", "x/", "x/y -> ../d")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		opened := underSwaps(t, dir, "d", "l", func() bool {
			for _, path := range []string{"/d/f", "/l/f", "/x/y/f"} {
				got, status := fetch(t, r, path, proto.Codings{})
				switch status {
				case proto.StatusOK, proto.StatusForbidden, proto.StatusNotFound:
				case proto.StatusServiceUnavailable:
					continue // the kernel could not tell, eight times
				default:
					t.Errorf("%s: %d", path, status)
				}
				if got != "" && got != "inside" {
					t.Errorf("%s: %q", path, got)
				}
			}
			return true
		})
		if opened == 0 {
			t.Error("nothing was requested")
		}
	})
}

// When files are exchanged, one file's size is never combined with another's content.
func TestSwappedFile(t *testing.T) {
	dir := planted(t, "new: bbbbbbbb", "old: aaaa")
	bothWays(t, dir, func(t *testing.T, r *Root) {
		underSwaps(t, dir, "new", "old", func() bool {
			got, status := fetch(t, r, "/new", proto.Codings{})
			if got != "aaaa" && got != "bbbbbbbb" {
				t.Errorf("%d %q", status, got)
			}
			return got != ""
		})
	})
}

// underSwaps calls ask repeatedly for a short while in two goroutines, while the names are exchanged.
// It returns how often ask returned true.
func underSwaps(t *testing.T, dir, a, b string, ask func() bool) (n int) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, a), unix.AT_FDCWD, filepath.Join(dir, b), unix.RENAME_EXCHANGE)
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); {
			ask()
		}
	})
	for end, i := time.Now().Add(150*time.Millisecond), 0; i == 0 || time.Now().Before(end); i++ {
		if ask() {
			n++
		}
	}
	close(stop)
	wg.Wait()
	return n
}

// No descriptor stays open.
func TestOpenLeavesNoDescriptor(t *testing.T) {
	dir := plantTrap(t)
	bothWays(t, dir, func(t *testing.T, r *Root) {
		before := descriptors(t)
		for _, path := range append(traversals()[:200], "/", "/a", "/a/", "/a/b/", "/a/b/c.txt", "/nope", "/secret.txt") {
			fetch(t, r, path, accepting(t, "br, gzip"))
		}
		if after := descriptors(t); after > before {
			t.Errorf("%[2]d descriptors, want %[1]d as before", before, after)
		}
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
