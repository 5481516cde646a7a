package differential

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// TestSitesLikeNginx requests hosts in all their spellings from Phalanx and from nginx with the same sites
// as server blocks: status and body are the same. It leaves out names with two labels below a wildcard,
// which nginx matches but certificates do not.
func TestSitesLikeNginx(t *testing.T) {
	t.Parallel()
	root := func(name string) string {
		return harness.Tree(t, map[string]string{"index.html": "home of " + name, name + ".txt": "only in " + name})
	}
	base, one, two := root("base"), root("one"), root("two")
	nginx, dir := harness.FreePort(t), harness.OpenDir(t)
	block := "}\nserver { listen 127.0.0.1:%d; server_name %s; root %s;\n"
	config := filepath.Join(dir, "config")
	harness.Write(t, config, []byte(nginxConfig(dir, base, nginx,
		fmt.Sprintf(block, nginx, "one.test www.two.test", one)+fmt.Sprintf(block, nginx, "*.two.test 192.0.2.7 [2001:db8::7]", two))))
	startProgram(t, nginx, harness.Tool(t, "run scripts/test-tools.sh", "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", config)
	phalanx := harness.ServeSilently(t, harness.Plan{Args: []string{
		"--base", base, "--site", "one.test,www.two.test=" + one, "--site", "*.two.test,192.0.2.7,[2001:db8::7]=" + two,
	}})
	seen := map[string]int{}
	for _, host := range []string{"one.test", "www.two.test", "any.two.test", "two.test", "a-b.two.test", "192.0.2.7", "[2001:db8::7]", "127.0.0.1", "[::1]", "other.test", "test", "xone.test", "one.test.x"} {
		for _, written := range []string{host, strings.ToUpper(host), host + ":80", host + ":" + fmt.Sprint(nginx), host + "."} {
			if strings.HasPrefix(host, "[") && written == host+"." {
				continue // not a host
			}
			for _, path := range []string{"/", "/one.txt", "/two.txt"} {
				for _, request := range []string{
					"GET " + path + " HTTP/1.1\r\nHost: " + written + "\r\nConnection: close\r\n\r\n",
					"GET http://" + written + path + " HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n",
					"GET " + path + " HTTP/1.0\r\nHost: " + written + "\r\n\r\n",
				} {
					ours, theirs := answered(t, phalanx.Port, request), answered(t, nginx, request)
					if ours != theirs {
						t.Errorf("%q:\n  Phalanx %s\n  nginx   %s", request, ours, theirs)
					}
					seen[ours]++
				}
			}
		}
	}
	for _, want := range []string{"200 home of base", "200 home of one", "200 home of two", "404 "} {
		if seen[want] == 0 {
			t.Errorf("no response was %q: %v", want, seen)
		}
	}
}

// answered returns the status of a response, and its body if it is that of a file.
func answered(t *testing.T, port int, request string) string {
	t.Helper()
	r, err := harness.Exchange(port, request)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	if r.Status != 200 {
		r.Body = nil
	}
	return fmt.Sprintf("%d %s", r.Status, r.Body)
}
