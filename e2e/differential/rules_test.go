package differential

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/e2e/harness"
)

// ruleFiles returns a site with rules, which nginxRules expresses for nginx. The unit tests cover what
// nginx cannot express: several query parameters, and the order of rules of different kinds.
func ruleFiles() map[string]string {
	return map[string]string{
		"index.html": "home", "about.html": "about", "new.txt": "new", "here.txt": "here", "app/index.html": "app", "dir/index.html": "dir",
		"en/404.html": "missing in English", "docs/new/a.txt": "a", "img/a.txt": "image", "forced/a.txt": "not seen",
		"_redirects": `/old                /new.txt              301
/tmp                /new.txt              302
/see                /new.txt              303
/keep               /new.txt              307
/ever               /new.txt              308
/here.txt           /elsewhere            302
/blog/:year/:slug   /posts/:slug/:year    301
/news/*             /archive/:splat       302
/x-:id.html         /items/:id            308
/out/*              https://example.org/a/:splat 302
/app/*              /app/index.html       200
/en/*               /en/404.html          404
/search q=:q        /find/:q              302
/forced/*           /new.txt              301!
/fixed              /new.txt?a=b          301
`,
		"_headers": `/*
  X-All: 1
/img/*
  X-Img: 2
  Cache-Control: no-store
/app/*
  X-App: 3
`,
	}
}

// nginxRules are the same rules for nginx.
const nginxRules = `absolute_redirect off;
location = /_redirects { return 404; }
location = /_headers { return 404; }
add_header X-All 1 always;
location ~ ^/old/?$ { return 301 /new.txt$is_args$args; }
location ~ ^/tmp/?$ { return 302 /new.txt$is_args$args; }
location ~ ^/see/?$ { return 303 /new.txt$is_args$args; }
location ~ ^/keep/?$ { return 307 /new.txt$is_args$args; }
location ~ ^/ever/?$ { return 308 /new.txt$is_args$args; }
location ~ ^/fixed/?$ { return 301 /new.txt?a=b; }
location ~ ^/blog/([^/]+)/([^/]+?)/?$ { return 301 /posts/$2/$1$is_args$args; }
location ~ ^/news(?:/(.*))?$ { return 302 /archive/$1$is_args$args; }
location ~ ^/x-([^/]+)\.html/?$ { return 308 /items/$1$is_args$args; }
location ~ ^/out(?:/(.*))?$ { return 302 https://example.org/a/$1$is_args$args; }
location ~ ^/forced(?:/.*)?$ { return 301 /new.txt$is_args$args; }
location ~ ^/search/?$ { if ($args ~ ^q=([^&/]+)$) { return 302 /find/$1; } return 404; }
location /app/ { add_header X-All 1; add_header X-App 3; try_files $uri /app/index.html; }
location = /here.txt/ { return 302 /elsewhere$is_args$args; }
location /img/ { add_header X-All 1 always; add_header X-Img 2 always; add_header Cache-Control no-store; }
location ~ ^/en/ { add_header X-All 1 always; error_page 404 /en/404.html; try_files $uri =404; }
location = /en/404.html { add_header X-All 1 always; }
`

// TestRulesLikeNginx sends requests that rules decide about to Phalanx and to nginx with the same rules:
// status, Location, body and the rules' fields are the same.
func TestRulesLikeNginx(t *testing.T) {
	t.Parallel()
	root := harness.Tree(t, ruleFiles())
	nginx, dir := harness.FreePort(t), harness.OpenDir(t)
	config := filepath.Join(dir, "config")
	harness.Write(t, config, []byte(nginxConfig(dir, root, nginx, nginxRules)))
	startProgram(t, nginx, harness.Tool(t, "run scripts/test-tools.sh", "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", config)
	phalanx := harness.ServeSilently(t, harness.Plan{Args: []string{"--base", root}})
	seen := map[string]int{}
	for _, target := range ruleTargets(rand.New(rand.NewPCG(1, 2)), 1500) {
		ours, theirs := ruled(t, phalanx.Port, target), ruled(t, nginx, target)
		if ours != theirs {
			t.Errorf("%s\n  Phalanx %s\n  nginx   %s", target, ours, theirs)
		}
		seen[ours[:3]]++
	}
	for _, status := range []string{"200", "301", "302", "303", "307", "308", "404"} {
		if seen[status] == 0 {
			t.Errorf("no response had status %s: %v", status, seen)
		}
	}
}

// ruled returns the parts of a response that rules decide about.
func ruled(t *testing.T, port int, target string) string {
	t.Helper()
	r, err := harness.Exchange(port, harness.Request("GET", target, "Connection: close"))
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	var fields []string
	for _, name := range []string{"Location", "X-All", "X-Img", "X-App"} {
		fields = append(fields, name+": "+strings.Join(r.Header.Values(name), ";"))
	}
	body := string(r.Body)
	if r.Status >= 300 && !strings.HasPrefix(body, "missing in") {
		body, fields[1] = "", "" // a page of the server's own
	}
	if r.Status == 200 && strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		fields = append(fields, "no-store")
	}
	return fmt.Sprintf("%d %q %q", r.Status, fields, body)
}

// ruleTargets returns n random paths that the rules match, or nearly so.
func ruleTargets(rng *rand.Rand, n int) (all []string) {
	first := []string{
		"old", "tmp", "see", "keep", "ever", "fixed", "here.txt", "new.txt", "blog", "news", "out", "app", "en", "search", "forced", "img", "docs", "dir/",
		"x-7.html", "x-.html", "nothing", "Old", "_redirects", "_headers",
	}
	more := []string{"2020", "a", "a.txt", "b-c", "index.html", "404.html", "7", "~x", "q=1", "a:b"}
	queries := []string{"", "", "?x=1", "?q=word", "?q=word&x=1", "?q=", "?a=b&c=%20d"}
	for range n {
		target := "/" + first[rng.IntN(len(first))]
		for range rng.IntN(3) {
			target = strings.TrimSuffix(target, "/") + "/" + more[rng.IntN(len(more))]
		}
		if rng.IntN(5) == 0 && !strings.HasSuffix(target, "/") {
			target += "/"
		}
		all = append(all, target+queries[rng.IntN(len(queries))])
	}
	return all
}
