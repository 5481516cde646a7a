package browser

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// axeSource returns the source of axe-core, which checks pages for accessibility.
func axeSource(t *testing.T) string {
	t.Helper()
	const file = "node_modules/axe-core/axe.min.js"
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run sh scripts/test-tools.sh, which installs it with npm", err)
	}
	return string(source)
}

// runAxe returns axe-core's findings on the current page: the rule, its impact and the first
// elements.
const runAxe = `axe.run(document, {resultTypes: ['violations'], preload: false}).then(found => found.violations.map(v =>
	v.id + ' (' + v.impact + '): ' + v.help + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + (n.failureSummary ?? '')).join(' | ')))`

// TestAccessibility checks every page of the server and the demo site with axe-core, in light and
// dark mode, on a phone's and a large screen.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	source := axeSource(t)
	site := harness.SiteDir(t)
	var pages []string
	for _, file := range harness.FilesOf(t, site) {
		if path.Ext(file) == ".html" {
			pages = append(pages, "/"+strings.TrimSuffix(file, "index.html"))
		}
	}
	demo := harness.Serve(t, site)
	dir, _ := hostileTree(t)
	harness.Sparse(t, filepath.Join(dir, "large.bin"), 999<<20)
	harness.Write(t, filepath.Join(dir, "empty", ".hidden"), nil)
	harness.Write(t, filepath.Join(dir, "README.md"), []byte(richReadme))
	listed := harness.Serve(t, dir, "--list", "--archive")
	admin := harness.Loopback(harness.FreePort(t))
	watched := harness.Serve(t, site, "--admin", admin, "--workers", "2")
	watched.MustGet("/")

	urls := []string{
		listed.URL("/"), listed.URL("/?sort=time&order=desc"), listed.URL("/empty/"), listed.URL("/sub%20%26%20%3Cdir%3E/"),
		listed.URL("/nothing"), "http://" + admin + "/status",
	}
	for _, page := range pages {
		urls = append(urls, demo.URL(page))
	}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}
			if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			for _, width := range []int64{390, 1280} {
				w.do(chromedp.EmulateViewport(width, 844))
				for _, url := range urls {
					for _, wrong := range w.violations(url, source) {
						t.Errorf("%s at %d pixels, %s: %s", url, width, scheme, wrong)
					}
				}
			}
		})
	}
}

// violations opens a page and returns axe-core's findings.
func (w *window) violations(url, source string) []string {
	w.t.Helper()
	if _, err := chromedp.Run(w.ctx, chromedp.NavigateResponse(url)); err != nil {
		w.t.Fatalf("%s: %v", url, err)
	}
	wrong, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](fmt.Sprintf("%s;\n%s", source, runAxe), chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("%s: %v", url, err)
	}
	return wrong
}
