package http

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestFileReplacedWhileSent renames a new file over one that is being sent: the client receives all of
// the old one.
func TestFileReplacedWhileSent(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"new.bin": "new"})
	harness.Sparse(t, base+"/big.bin", 64<<20)
	s := harness.Serve(t, base)
	d := s.Begin("/big.bin", 64<<10)
	if err := os.Rename(base+"/new.bin", base+"/big.bin"); err != nil {
		t.Fatal(err)
	}
	s.MustComplete(d)
	harness.Await(t, 3*time.Second, "the new file", func() bool { // the old one may be in the cache
		return string(s.MustGet("/big.bin").Body) == "new"
	})
}

// TestSpecialFiles has FIFOs, sockets, devices, unreadable files and symbolic links in the document
// root. The server, without privileges, must neither hang nor disclose what it should not.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	dir := harness.Tree(t, map[string]string{
		"site/index.html": "front", "site/real/page.html": "page", "site/empty/.keep": "", "site/locked.html": "LOCKED",
		"site/private/page.html": "LOCKED", "secret.txt": "SECRET", "site/cellar/index.html/page": "",
		"site/.htaccess": "LOCKED", "site/.git/config": "LOCKED", "site/...": "LOCKED",
	})
	site := filepath.Join(dir, "site")
	makeSpecial(t, dir, site)
	refused := []string{
		"/fifo", "/socket", "/null", "/zero", "/empty/", "/locked.html", "/private/page.html", "/absolute.txt", "/relative.txt",
		"/up/secret.txt", "/up/site/index.html", "/root/etc/passwd", "/self", "/dangling.html", "/proc/self/environ", "/cellar/",
		"/fifo/", "/null/x", "/.htaccess", "/%2ehtaccess", "/.git/config", "/...",
	}
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		s := harness.ServeAs(t, harness.Plan{Nobody: true, Args: append(harness.Verbosely(site), "--model", model)})
		for _, path := range refused {
			for _, method := range []string{"GET", "HEAD"} {
				began := time.Now()
				r := s.MustAsk(s.Dial(), harness.Request(method, path, "Connection: close"))
				if r.Status != 403 && r.Status != 404 || bytes.Contains(r.Body, []byte("SECRET")) || bytes.Contains(r.Body, []byte("LOCKED")) {
					t.Errorf("%s %s: %d %.60q, want 403 or 404", method, path, r.Status, r.Body)
				}
				if took := time.Since(began); took > harness.InTime(2*time.Second) {
					t.Errorf("%s %s took %v, want at most 2 s", method, path, took)
				}
			}
		}
		s.MustServe("/inside.html", "page")
		s.MustServe("/alias/page.html", "page")
		s.MustServe("/", "front")
	})
}

// makeSpecial adds symbolic links, devices and other special files to the site.
func makeSpecial(t *testing.T, dir, site string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(site, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.Mkfifo(at("fifo"), 0o666))
	socket, err := net.Listen("unix", at("socket"))
	must(err)
	t.Cleanup(func() { socket.Close() })
	if os.Geteuid() == 0 {
		must(syscall.Mknod(at("null"), syscall.S_IFCHR|0o666, 1<<8|3))
		must(syscall.Mknod(at("zero"), syscall.S_IFCHR|0o666, 1<<8|5))
		must(os.Chmod(at("zero"), 0o666))
	}
	must(os.Chmod(at("fifo"), 0o666))
	must(os.Chmod(at("locked.html"), 0))
	must(os.Chmod(at("private"), 0o700))
	if os.Geteuid() != 0 {
		must(os.Chmod(at("private"), 0))
		t.Cleanup(func() { must(os.Chmod(at("private"), 0o700)) })
	}
	for name, target := range map[string]string{
		"absolute.txt": filepath.Join(dir, "secret.txt"), "relative.txt": "../secret.txt", "up": "..", "root": "/",
		"self": "self", "dangling.html": "nowhere", "proc": "/proc", "inside.html": "real/page.html", "alias": "real",
	} {
		must(os.Symlink(target, at(name)))
	}
}
