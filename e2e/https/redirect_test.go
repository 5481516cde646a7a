package https

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"phalanx/e2e/harness"
)

// TestRedirect makes requests over HTTP, over HTTPS and through a unix socket: only HTTP is redirected, as
// --plain says, and connections that stay open behave the same after reloads.
func TestRedirect(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		for _, plain := range []string{"redirect", "redirect:444", "serve"} {
			t.Run(engine+" "+plain, func(t *testing.T) {
				t.Parallel()
				redirects(t, engine, plain)
			})
		}
	}
}

func redirects(t *testing.T, engine, plain string) {
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	path := filepath.Join(harness.OpenDir(t), "http.sock")
	port := harness.FreePort(t)
	s := harness.ServeAs(t, plan(base, "--tls-self-signed", "--listen", fmt.Sprintf("http://127.0.0.1:%d", port), "--listen", "unix:"+path,
		"--workers", "2", "--engine", engine, "--plain", plain, "--hsts", "1h"))
	where := map[string]string{
		"redirect": fmt.Sprintf("https://phalanx.test:%d/?a=b", s.Port), "redirect:444": "https://phalanx.test:444/?a=b",
	}[plain]
	clear, err := harness.Connect(port)
	if err != nil {
		t.Fatal(err)
	}
	defer clear.Close()
	local, err := harness.ConnectUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	secure, _, err := dial(s.Port, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	check := func(name string, c *harness.Client, where, strict string) {
		t.Helper()
		r, err := c.Ask(harness.Request("GET", "/?a=b"))
		want := 200
		if where != "" {
			want = 308
		}
		if err != nil || r.Status != want || r.Header.Get("Location") != where || r.Header.Get("Strict-Transport-Security") != strict || r.Closes() {
			t.Errorf("%s: %+v, error %v; want %d to %q", name, r, err, want, where)
		}
	}
	all := func() {
		t.Helper()
		check("HTTP", clear, where, "")
		check("unix socket", local, "", "")
		check("HTTPS", secure, "", "max-age=3600")
	}
	all()
	if engine == "epoll" { // netpoll closes idle connections at a reload
		s.Replace(syscall.SIGHUP, 2)
		all()
		s.Replace(syscall.SIGHUP, 2)
	}
	all()
}

// TestExplainRedirect explains a redirect to HTTPS, and what the same request gets over HTTPS.
func TestExplainRedirect(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	both := []string{"explain", "--base", base, "--listen", "http://:80", "--listen", "https://:443", "--tls-self-signed", "--hsts", "1h"}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{append(both, "http://example.org/a"), 0, "Location: https://example.org/a\n"},
		{append(both, "/a"), 0, "308 Permanent Redirect"},
		{append(both, "https://example.org/"), 0, "strict-transport-security: max-age=3600\n"},
		{append(both, "--plain", "serve", "http://example.org/"), 0, "200 OK"},
		{[]string{"explain", "--base", base, "--listen", "https://:443", "--tls-self-signed", "/"}, 0, "HTTP/2 200\n"},
		{[]string{"explain", "--base", base, "https://example.org/"}, 64, "no HTTPS address; add --listen https://:443"},
	} {
		if code, text := outcome(t, c.args...); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%q: exit status %d, want %d and %q:\n%s", c.args, code, c.code, c.want, text)
		}
	}
}
