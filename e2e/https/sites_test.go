package https

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// siteServer is a server with three sites: one.test, *.two.test, and the default site.
type siteServer struct {
	*harness.Server
	admin  *harness.Endpoint
	a      *authority
	config string // path of the options file
	clear  int    // port for plain HTTP
	roots  map[string]string
}

// lines are the options that the tests do not change.
const lines = "listen = https://127.0.0.1:0\nlisten = http://127.0.0.1:%d\nplain = serve\nadmin = %s\nverbose = 1\nworkers = 2\naccess-log-format = vhost_combined\n"

func startSites(t *testing.T) *siteServer {
	t.Helper()
	v := &siteServer{a: newAuthority(t), roots: map[string]string{}, clear: harness.FreePort(t)}
	for _, name := range []string{"default", "one", "two", "three"} {
		v.roots[name] = harness.Tree(t, map[string]string{
			"index.html": "home of " + name, "404.html": "missing from " + name, "_redirects": "/who /?" + name + " 302\n", "_headers": "/*\n  X-Site: " + name + "\n",
		})
	}
	dir := harness.OpenDir(t)
	v.config = filepath.Join(dir, "phalanx.conf")
	path := filepath.Join(dir, "admin.sock")
	fixed := fmt.Sprintf(lines, v.clear, path) + "access-log = " + filepath.Join(dir, "access.log") + "\n"
	for _, hosts := range [][]string{{"one.test", "www.one.test"}, {"*.two.test", "three.test", "default.test"}} {
		f := v.a.save(v.a.issue(ecKey(t), time.Now().Add(1900*time.Hour), hosts...))
		fixed += "tls-cert = " + f.cert + "\ntls-key = " + f.key + "\n"
	}
	v.roots["fixed"] = fixed
	v.configure(t, "base = "+v.roots["default"], "site = one.test,www.one.test="+v.roots["one"], "site = *.two.test="+v.roots["two"])
	v.Server = harness.ServeAs(t, harness.Plan{Args: []string{"--config", v.config}})
	v.admin = harness.EndpointAt(t, path)
	return v
}

func (v *siteServer) configure(t *testing.T, more ...string) {
	t.Helper()
	harness.Write(t, v.config, []byte(v.roots["fixed"]+strings.Join(more, "\n")+"\n"))
}

// curl returns body, status, version and two fields of the response for a host's URL in one of the ways.
func (v *siteServer) curl(t *testing.T, way, host, path string, more ...string) string {
	t.Helper()
	url := fmt.Sprintf("https://%s:%d%s", host, v.Port, path)
	if strings.HasPrefix(way, "clear") {
		url = fmt.Sprintf("http://%s:%d%s", host, v.clear, path)
	}
	args := slices.Concat([]string{"-sS", "--cacert", v.a.file, "--resolve", "*:" + fmt.Sprint(v.Port) + ":127.0.0.1", "--resolve", "*:" + fmt.Sprint(v.clear) + ":127.0.0.1"},
		ways[way], more, []string{"-w", " %{http_code} %{http_version} %header{x-site}%header{location}", url})
	out, err := exec.Command(harness.Tool(t, "run scripts/test-tools.sh", "curl"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

var ways = map[string][]string{
	"tls 1.1": {"--http1.1"}, "tls 2": {"--http2"}, "clear 1.1": {"--http1.1"}, "clear 2": {"--http2-prior-knowledge"},
}

// TestSites requests three sites on one port, in both versions of HTTP, over TLS and in cleartext: pages,
// error pages and rules are each site's own. A reload adds one site and removes another, and the counters
// stay with their sites.
func TestSites(t *testing.T) {
	t.Parallel()
	v := startSites(t)
	check := func(host, name string) {
		t.Helper()
		for way := range ways {
			version := way[strings.Index(way, " ")+1:]
			for _, c := range []struct{ path, want string }{
				{"/", "home of " + name + " 200 " + version + " " + name},
				{"/none", "missing from " + name + " 404 " + version + " " + name},
			} {
				if got := v.curl(t, way, host, c.path); got != c.want {
					t.Errorf("%s%s, %s: %q, want %q", host, c.path, way, got, c.want)
				}
			}
			if got := v.curl(t, way, host, "/who"); !strings.HasSuffix(got, "302 "+version+" /?"+name) {
				t.Errorf("%s/who, %s: %q, want a redirect by the rules of %s", host, way, got, name)
			}
		}
	}
	check("one.test", "one")
	check("any.two.test", "two")
	check("default.test", "default")
	v.checkNames(t)
	total := func() map[string]uint64 {
		n := map[string]uint64{}
		for _, s := range v.admin.Pool().Sites {
			n[s.Name] = s.Answered()
		}
		return n
	}
	if n := total(); n["one.test"] != 12 || n["*.two.test"] != 15 || n["*"] != 12 {
		t.Errorf("requests by site: %v, want 12, 15 and 12", n)
	}
	v.configure(t, "base = "+v.roots["default"], "site = *.two.test="+v.roots["two"], "site = three.test,four.test="+v.roots["three"])
	if o := v.admin.Order("reload"); o.Code != 0 {
		t.Fatalf("reload: %+v", o)
	}
	v.AwaitText("no certificate for four.test; browsers refuse HTTPS there")
	check("any.two.test", "two")
	check("three.test", "three")
	if got := v.curl(t, "clear 1.1", "one.test", "/"); !strings.HasPrefix(got, "home of default 200") {
		t.Errorf("a removed site: %q, want the default site", got)
	}
	if n := total(); n["*.two.test"] != 27 || n["three.test"] != 12 || len(n) != 3 {
		t.Errorf("requests by site: %v, want 27 for *.two.test and 12 for three.test", n)
	}
	v.checkWatches(t)
	v.checkLogs(t)
}

// checkNames checks that the host of the request chooses the site, not the server name of the handshake
// and, for an absolute target, not Host.
func (v *siteServer) checkNames(t *testing.T) {
	t.Helper()
	for _, way := range []string{"tls 1.1", "tls 2"} {
		if got := v.curl(t, way, "default.test", "/", "-H", "Host: ANY.two.test.:81"); !strings.HasPrefix(got, "home of two 200") {
			t.Errorf("%s, another server name in the handshake: %q, want the site of Host", way, got)
		}
	}
	if strings.Contains(v.Log.String(), "no certificate for") {
		t.Error("the log says that a host has no certificate")
	}
	if got := v.curl(t, "clear 1.1", "one.test", "/", "--request-target", "http://a.two.test/"); !strings.HasPrefix(got, "home of two 200") {
		t.Errorf("an absolute target: %q, want the site of its host", got)
	}
}

// checkWatches changes the rules of two sites: each site's take effect for it alone.
func (v *siteServer) checkWatches(t *testing.T) {
	t.Helper()
	for _, name := range []string{"two", "three"} {
		harness.Write(t, filepath.Join(v.roots[name], "_redirects"), []byte("/who /?new-"+name+" 302\n"))
	}
	for host, name := range map[string]string{"a.two.test": "two", "three.test": "three"} {
		harness.Await(t, 10*time.Second, "the new rules of "+name, func() bool {
			return strings.HasSuffix(v.curl(t, "clear 1.1", host, "/who"), "/?new-"+name)
		})
	}
	if got := v.curl(t, "clear 1.1", "default.test", "/who"); !strings.HasSuffix(got, "/?default") {
		t.Errorf("rules of the default site: %q, want them unchanged", got)
	}
}

// checkLogs checks that the logs have the names of the sites, and no others. The access log may lag.
func (v *siteServer) checkLogs(t *testing.T) {
	t.Helper()
	want := map[string]bool{}
	for _, name := range []string{"one.test", "*.two.test", "three.test", "*"} {
		for _, port := range []int{v.Port, v.clear} {
			want[fmt.Sprintf("%s:%d", name, port)] = true
		}
	}
	seen := map[string]bool{}
	harness.Await(t, 10*time.Second, "all sites in the access log", func() bool {
		text := harness.Read(t, filepath.Join(filepath.Dir(v.config), "access.log"))
		for line := range strings.Lines(string(text)) {
			site, _, _ := strings.Cut(line, " ")
			seen[site] = true
		}
		return len(seen) >= len(want)
	})
	if !maps.Equal(seen, want) {
		t.Errorf("the access log has %v, want %v", seen, want)
	}
	for _, e := range v.AwaitRequests(50) {
		if site := e.Text("site"); site == "" || strings.Contains(site, "any") {
			t.Fatalf("a request is logged with a wrong site: %v", e)
		}
	}
}

// TestStrictHost expects 421 for unknown hosts with --strict-host, in each way and for every method.
func TestStrictHost(t *testing.T) {
	t.Parallel()
	v := startSites(t)
	v.configure(t, "strict-host = true", "site = *.two.test="+v.roots["two"])
	if o := v.admin.Order("reload"); o.Code != 0 {
		t.Fatalf("reload: %+v", o)
	}
	for way := range ways {
		for _, more := range [][]string{{"-I"}, {"-X", "OPTIONS"}, {"-d", "x"}, {"-X", "BREW"}, nil} {
			got := v.curl(t, way, "one.test", "/", append(more, "-o", "/dev/null")...)
			if want := "421 " + way[strings.Index(way, " ")+1:]; got != want {
				t.Errorf("%s, %q: %q, want %q", way, more, got, want)
			}
		}
		if got := v.curl(t, way, "a.two.test", "/"); !strings.HasPrefix(got, "home of two 200") {
			t.Errorf("%s, a known host: %q, want 200", way, got)
		}
	}
	r, err := harness.Exchange(v.clear, "GET / HTTP/1.0\r\n\r\n")
	if err != nil || r.Status != 421 {
		t.Errorf("without a host: %v, error %v; want 421", r, err)
	}
}

// TestSelfSignedSites checks that the self-signed certificate is valid for the hosts of all sites.
func TestSelfSignedSites(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeAs(t, plan(base, "--tls-self-signed", "--site", "one.test,*.two.test="+base))
	_, state, err := get(s.Port, &tls.Config{InsecureSkipVerify: true}, "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one.test", "any.two.test", "localhost"} {
		if err := state.PeerCertificates[0].VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}
