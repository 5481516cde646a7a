package http

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// treeWithRules returns a document root with rule files, _redirects and _headers.
func treeWithRules(t *testing.T) string {
	t.Helper()
	return harness.Tree(t, map[string]string{
		"index.html": "home", "about.html": "about", "new.txt": "new", "404.html": "missing", "en/404.html": "missing in English", "app/index.html": "app",
		"forced.txt": "not seen", "dir/index.html": "dir", "shop/index.html": "shop",
		"_redirects": "/old /new.txt 301\n/moved/* /dir/:splat 308\n/go to=:to /:to 302\n/app/* /app/index.html 200\n/en/* /en/404.html 404\n/past/* /404.html 410\n" +
			"/new.txt /elsewhere 302\n/forced.txt /new.txt 307!\n/out/* https://example.org/:splat 303\n",
		"_headers": "/*\n  X-Owner: yes\n  ! X-Content-Type-Options\n/app/*\n  X-Route: :splat\n/new.txt\n  Cache-Control: no-store\n",
	})
}

// ruleExchanges are requests that these rules decide about.
func ruleExchanges() []exchange {
	owner := []string{"X-Owner: yes", "X-Content-Type-Options:"}
	return []exchange{
		{target: "/", status: 200, body: "home", header: owner},
		{target: "/old?x=1", status: 301, body: "*", header: []string{"Location: /new.txt?x=1", "X-Owner:"}},
		{target: "/old", method: "HEAD", status: 301, header: []string{"Location: /new.txt"}},
		{target: "/old", method: "POST", status: 405, body: "*"},
		{target: "/moved/a/b?q", status: 308, body: "*", header: []string{"Location: /dir/a/b?q"}},
		{target: "/go?to=x%0d%0aY:z", status: 302, body: "*", header: []string{"Location: /x%0D%0AY:z", "Y:"}},
		{target: "/go?to=//evil.com", status: 302, body: "*", header: []string{"Location: /%2F%2Fevil.com"}},
		{target: "/out//evil.com/", status: 303, body: "*", header: []string{"Location: https://example.org/evil.com/"}},
		{target: "/app/users/7", status: 200, body: "app", header: append(owner, "X-Route: users/7", "Content-Type: text/html; charset=utf-8")},
		{target: "/app/users/7", fields: []string{"Range: bytes=1-"}, status: 206, body: "pp", header: owner},
		{target: "/app/users/7", fields: []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}, status: 304, header: owner},
		{target: "/en/x", status: 404, body: "missing in English", header: owner},
		{target: "/past/x", status: 410, body: "missing", header: owner},
		{target: "/nothing", status: 404, body: "missing", header: owner},
		{target: "/new.txt", status: 200, body: "new", header: []string{"Cache-Control: no-store", "Expires:"}},
		{target: "/forced.txt", status: 307, body: "*", header: []string{"Location: /new.txt"}},
		{target: "/_redirects", status: 404, body: "missing"},
		{target: "/_headers", status: 404, body: "missing"},
		{target: "/about.html", status: 200, body: "about"},
	}
}

// TestRuleFiles applies _redirects and _headers in every model and engine.
func TestRuleFiles(t *testing.T) {
	t.Parallel()
	base := treeWithRules(t)
	for _, args := range [][]string{{"--model", "process"}, {"--engine", "netpoll"}, {"--model", "goroutine"}, {"--model", "serial"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			expect(harness.Serve(t, base, args...), ruleExchanges())
		})
	}
}

// TestRuleFlags gives rules on the command line, together with --prefix and --clean-urls, and ignores
// rule files with --no-rules.
func TestRuleFlags(t *testing.T) {
	t.Parallel()
	base := treeWithRules(t)
	s := harness.Serve(t, base, "--prefix", "/sub/", "--clean-urls", "--redirect", "/old /first", "--redirect", "/more/* /dir/:splat 302",
		"--header", "X-All: 1", "--header", "/about: X-About: 2", "--header", "/about: ! X-Owner")
	expect(s, []exchange{
		{target: "/sub/about", status: 200, body: "about", header: []string{"X-All: 1", "X-About: 2", "X-Owner:"}},
		{target: "/sub/about.html?x", status: 308, body: "*", header: []string{"Location: /sub/about?x", "X-All: 1"}},
		{target: "/sub/about/", status: 308, body: "*", header: []string{"Location: /sub/about"}},
		{target: "/sub/index.html", status: 308, body: "*", header: []string{"Location: /sub/"}},
		{target: "/sub/dir", status: 301, body: "*", header: []string{"Location: /sub/dir/"}},
		{target: "/sub/", status: 200, body: "home"},
		{target: "/sub", status: 301, body: "*", header: []string{"Location: /sub/"}},
		{target: "/sub/old", status: 301, body: "*", header: []string{"Location: /sub/first"}},
		{target: "/sub/more/x", status: 302, body: "*", header: []string{"Location: /sub/dir/x"}},
		{target: "/sub/out/x", status: 303, body: "*", header: []string{"Location: https://example.org/x"}},
		{target: "/sub/nothing", status: 404, body: "missing"},
	})
	expect(s, refusals(404, "/about", "/", "/old", "/subx", "//sub/about"))
	plain := harness.Serve(t, base, "--no-rules", "--list")
	expect(plain, []exchange{
		{target: "/old", status: 404, body: "missing"},
		{target: "/_headers", status: 200, body: "*", header: []string{"X-Owner:"}},
	})
}

// TestRuleFilesChange edits the rule files under a running server: valid rules take effect within a
// second, invalid ones not at all, and one log line says why.
func TestRuleFilesChange(t *testing.T) {
	t.Parallel()
	harness.Each(t, harness.Models(), func(t *testing.T, model string) {
		base := treeWithRules(t)
		path := filepath.Join(base, "_redirects")
		s := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", base, "--model", model, "--workers", strconv.Itoa(harness.PoolSize(model, 2))}})
		answers := func(path, field, want string) func() bool {
			return func() bool {
				for range 20 { // so many that both workers get some
					if r, err := requestOnce(s, "GET", path, nil); err != nil || r.Header.Get(field) != want {
						return false
					}
				}
				return true
			}
		}
		leads := func(to string) func() bool { return answers("/old", "Location", to) }
		if !leads("/new.txt")() {
			t.Fatal("the initial rules are not in effect")
		}
		harness.Write(t, path, []byte("/old /two\n"))
		harness.Await(t, 20*time.Second, "the new rules", leads("/two"))
		install(t, path, "/old /three\n/bad\n")
		s.AwaitText("_redirects:2: it has no target")
		if !leads("/two")() {
			t.Error("the previous rules are no longer in effect")
		}
		harness.Write(t, path, []byte("/old /four\n"))
		harness.Await(t, 20*time.Second, "the corrected rules", leads("/four"))
		if err := os.Rename(filepath.Join(base, "_headers"), filepath.Join(base, "gone")); err != nil {
			t.Fatal(err)
		}
		harness.Await(t, 20*time.Second, "no more rules for header fields", answers("/", "X-Owner", ""))
		expect(s, []exchange{{target: "/", status: 200, body: "home", header: []string{"X-Owner:", "X-Content-Type-Options: nosniff"}}})
		if lines := s.Log.Lines(); len(lines) != 1 {
			t.Errorf("standard error has %q, want one line", lines)
		}
	})
}

// install replaces a rule file at once: one that is still empty would be valid.
func install(t *testing.T, path, text string) {
	t.Helper()
	if err := harness.Install(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestInvalidRules checks that --check, a start and a reload refuse invalid rules and name file and line.
func TestInvalidRules(t *testing.T) {
	t.Parallel()
	base := treeWithRules(t)
	s := harness.Serve(t, base, "--workers", "2")
	path := filepath.Join(base, "_headers")
	install(t, path, "/*\n  X-A: b\n  Content-Length: 5\n")
	const reason = "_headers:3: \"Content-Length\": the server sets this field itself; leave it out"
	for _, args := range [][]string{{"--check"}, {"--port", "0", "--bind", "127.0.0.1"}} {
		harness.Attempt(t, harness.Plan{Args: append(args, "--base", base)}).Rejects(t, 78, reason)
	}
	workers := s.Workers()
	s.Signal(syscall.SIGHUP)
	s.AwaitText("reload: _headers:3: ")
	expect(s, []exchange{{target: "/", status: 200, body: "home", header: []string{"X-Owner: yes"}}})
	for i, pid := range s.Workers() {
		if pid != workers[i] {
			t.Errorf("worker %d was replaced, want it to stay", workers[i])
		}
	}
	// A worker that is killed now is replaced all the same.
	harness.Kill(t, workers[1], syscall.SIGKILL)
	s.AwaitWorkers(2, workers[1])
	s.AwaitText("serving without these rules until that is corrected")
	for range 8 {
		if r, err := requestOnce(s, "GET", "/", nil); err != nil || r.Status != 200 {
			t.Errorf("response %v, error %v; want 200", r, err)
		}
	}
}

// TestRulesOutliveWorkers replaces the worker of a download by a reload, an upgrade and a kill: the
// download is completed, and its connection is still served by the same rules.
func TestRulesOutliveWorkers(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{
		"_redirects": "/latest /large.bin 200\n/old /new 301\n", "_headers": "/latest\n  X-Version: 7\n",
	})
	harness.Sparse(t, filepath.Join(base, "large.bin"), 64<<20)
	s := harness.Serve(t, base, "--workers", "1")
	d := s.Begin("/latest", 64<<10)
	for _, replace := range []func(old int){
		func(int) { s.Signal(syscall.SIGHUP) },
		func(int) { s.Signal(syscall.SIGUSR2) },
		func(old int) { harness.Kill(t, old, syscall.SIGKILL) },
	} {
		d.Renew()
		if err := d.Take(8 << 20); err != nil {
			t.Fatal(err)
		}
		old := s.Workers()
		replace(old[0])
		s.AwaitWorkers(1, old...)
	}
	s.MustComplete(d)
	d.Renew()
	for target, want := range map[string]string{"/old": "301 /new", "/latest": "200 7"} {
		r, err := d.Ask(harness.Request("HEAD", target))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s%s", r.Status, r.Header.Get("Location"), r.Header.Get("X-Version")); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
