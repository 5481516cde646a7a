package http

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestTraversal requests files outside of the document root in more than 500 spellings and both forms
// of a target. With --spa, a path that only looks like a way out is one more unknown path.
func TestTraversal(t *testing.T) {
	t.Parallel()
	const page = "the application"
	dir := harness.Tree(t, map[string]string{
		"root/app.html": page, "root/a/b/c.txt": "C", "root/sub/file.txt": "F", "secret.txt": "SECRET", "root.txt": "SECRET", "root-too/secret.txt": "SECRET",
	})
	for link, to := range map[string]string{"out": "..", "abs": dir, "up.txt": "../secret.txt", "a/far": "../../root-too", "passwd": "/etc/passwd", "self": "/proc/self"} {
		if err := os.Symlink(to, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	paths := escapingPaths(dir)
	if len(paths) < 500 {
		t.Fatalf("%d spellings, want at least 500", len(paths))
	}
	t.Logf("%d spellings", len(paths))
	for _, flags := range [][]string{nil, {"--list", "--dotfiles"}, {"--spa", "app.html"}, {"--list", "--spa", "app.html", "--model", "goroutine"},
		{"--redirect", "/* /:splat 200!", "--clean-urls"}, {"--redirect", "/a/b/* /sub/:splat 200", "--redirect", "/* /a/:splat 200"}} {
		t.Run("with "+strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			s := harness.ServeSilently(t, harness.Plan{Args: append([]string{"--base", filepath.Join(dir, "root")}, flags...)})
			spa := ""
			if slices.Contains(flags, "--spa") {
				spa = page
			}
			a := &harness.Asker{Port: s.Port}
			defer a.Close()
			if len(flags) == 0 {
				s.MustServe("/a/b/c.txt?/../x", "C")
			}
			for _, path := range paths {
				mustRefuse(s, a, path, path, spa)
				if strings.HasPrefix(path, "/") {
					mustRefuse(s, a, "http://phalanx.test"+path, path, spa)
				}
			}
		})
	}
}

// mustRefuse checks that a target is refused. If there is a single-page fallback, it may be the
// response, but not to a path that leads up.
func mustRefuse(s *harness.Server, a *harness.Asker, target, path, spa string) {
	s.T.Helper()
	r, err := a.Fetch(harness.Request("GET", target))
	if err != nil {
		s.T.Errorf("%q: %v", target, err)
		return
	}
	switch {
	case strings.Contains(string(r.Body), "SECRET"), strings.Contains(string(r.Body), "root:"):
		s.T.Errorf("%q: %d %.60q: a file outside of the document root", target, r.Status, r.Body)
	case r.Status == 400, r.Status == 403, r.Status == 404:
	case r.Status == 200 && spa != "" && string(r.Body) == spa && !hasDotDot(path):
	default:
		s.T.Errorf("%q: %d %.60q, want 400, 403 or 404", target, r.Status, r.Body)
	}
}

// hasDotDot reports whether a path has ".." as an element after one decoding.
func hasDotDot(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	decoded, err := url.PathUnescape(path)
	return err == nil && slices.Contains(strings.Split(decoded, "/"), "..")
}

// escapingPaths returns paths that lead out of the document root in dir if a server decodes or normalises
// them once too often, or not often enough.
func escapingPaths(dir string) (paths []string) {
	up := []string{
		"..", "%2e%2e", ".%2E", "%252e%252e", "%%32%65%%32%65", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "%uff0e%uff0e", "\uff0e\uff0e",
		"..%00", "..;a=b", "..%20", "..%0d%0a", "...", "..%5c..", "..\\..", "..\x7f", ".%00.",
	}
	slashes := []string{"/", "//", "%2f", "%252F", "\\", "%5c", "%c0%af", "%uff0f", "/./", "%00/"}
	for _, prefix := range []string{"/", "/a/b/", "//"} {
		for _, dots := range up {
			for _, slash := range slashes {
				paths = append(paths, prefix+strings.Repeat(dots+slash, 1+strings.Count(prefix, "/"))+"secret.txt")
			}
		}
	}
	deep := strings.Repeat("../", 40)
	return append(paths,
		"/out/secret.txt", "/abs/secret.txt", "/up.txt", "/a/far/secret.txt", "/passwd", "/self/environ", "/self/", "/out/", "/out", "/a/far",
		"/..", "/../", "/%2e%2e", "/%2e%2e/", "/a/..", "/a/../..", "/../root.txt", "/../root/a/b/c.txt", "/a/b/../../../secret.txt",
		"/"+deep+"etc/passwd", "/a/"+deep+"etc/passwd", "/%2fetc/passwd", "/%5cetc%5cpasswd", "/..%2f..%2f..%2fetc%2fpasswd",
		"/proc/self/environ", "/dev/stdin", "/c:/secret.txt", "/-/../secret.txt", "/..?/secret.txt", "/../?x", "/a/..#", "/secret.txt%00.html",
		"..", "../secret.txt", "secret.txt", "./secret.txt", "%2e%2e/secret.txt", "file:///etc/passwd", "//../secret.txt", "/.../../secret.txt",
		dir+"/secret.txt", "/"+dir+"/secret.txt", "/%2f"+dir[1:]+"/secret.txt", "file://"+dir+"/secret.txt",
		"/../root-too/secret.txt", "/./../secret.txt", "/a/b/c.txt/../../../../secret.txt", "/a%2f..%2f..%2fsecret.txt", "/..;/secret.txt",
	)
}
