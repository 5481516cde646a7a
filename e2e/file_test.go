package e2e

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestShrinking cuts a file while it is sent: the connection ends before the
// announced length, so that the client knows.
func TestShrinking(t *testing.T) {
	t.Parallel()
	each(t, models(), func(t *testing.T, model string) {
		base := tree(t, map[string]string{"index.html": "front"})
		sparse(t, base+"/big.bin", 256<<20)
		s := serve(t, base, "--model", model)
		d := s.begin("/big.bin", 64<<10)
		if err := d.take(1 << 20); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(base+"/big.bin", 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := d.rest(); err == nil || d.taken >= d.length {
			t.Errorf("%d of %d bytes came: %v; want an early end", d.taken, d.length, err)
		}
		for range 5 {
			s.mustServe("/", "front")
		}
	})
}

// TestGrowing appends to a file while it is sent: what was announced comes,
// and nothing else.
func TestGrowing(t *testing.T) {
	t.Parallel()
	each(t, models(), func(t *testing.T, model string) {
		base := tree(t, map[string]string{"index.html": "front"})
		path := base + "/big.bin"
		sparse(t, path, 64<<20)
		s := serve(t, base, "--model", model)
		d := s.begin("/big.bin", 64<<10)
		if err := d.take(1 << 20); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(bytes.Repeat([]byte("LEAK"), 1<<18)); err != nil {
			t.Fatal(err)
		}
		s.mustComplete(d)
		if model == "serial" {
			s.mustEnd(d.client, 2*time.Second, "after the announced length")
			return
		}
		if r := s.mustAsk(d.client, request("GET", "/")); string(r.body) != "front" {
			t.Errorf("the next answer is %d %.60q", r.status, r.body)
		}
	})
}

// TestReplaced puts a new file in the place of one that is being sent: the
// client gets the old one whole.
func TestReplaced(t *testing.T) {
	t.Parallel()
	base := tree(t, map[string]string{"new.bin": "new"})
	sparse(t, base+"/big.bin", 64<<20)
	s := serve(t, base)
	d := s.begin("/big.bin", 64<<10)
	if err := os.Rename(base+"/new.bin", base+"/big.bin"); err != nil {
		t.Fatal(err)
	}
	s.mustComplete(d)
	s.mustServe("/big.bin", "new")
}

// TestSpecialFiles puts into the base what a site should not hold. The
// server runs without privileges and must neither hang nor tell.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
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
	each(t, models(), func(t *testing.T, model string) {
		s := serveAs(t, plan{nobody: true, args: append(verbosely(site), "--model", model)})
		for _, path := range refused {
			for _, method := range []string{"GET", "HEAD"} {
				began := time.Now()
				r := s.mustAsk(s.dial(), request(method, path, "Connection: close"))
				if r.status != 403 && r.status != 404 || bytes.Contains(r.body, []byte("SECRET")) || bytes.Contains(r.body, []byte("LOCKED")) {
					t.Errorf("%s %s: %d %.60q, want 403 or 404", method, path, r.status, r.body)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("%s %s took %v", method, path, took)
				}
			}
		}
		s.mustServe("/inside.html", "page")
		s.mustServe("/alias/page.html", "page")
		s.mustServe("/", "front")
	})
}

// makeSpecial fills the site with links, devices and the like.
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
