package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// TestThreeSites opens three sites on one port with one certificate. Each page shows its own
// picture and one of each other site.
func TestThreeSites(t *testing.T) {
	t.Parallel()
	hosts := []string{"one.test", "www.two.test", "three.test"}
	port := harness.FreePort(t)
	var roots []string
	for i, host := range hosts {
		page := "<!DOCTYPE html><html lang=en><title>" + host + "</title><link rel=icon href='data:,'><h1>" + host + "</h1>"
		for _, other := range hosts {
			page += fmt.Sprintf("<img alt='' src=https://%s:%d/%s.svg>", other, port, other)
		}
		roots = append(roots, harness.Tree(t, map[string]string{
			"index.html": page, host + ".svg": strings.Repeat(" ", i) + pixel, "_redirects": "/moved /?there 302\n",
		}))
	}
	s := harness.ServeAs(t, harness.Plan{Args: []string{
		"--site", hosts[0] + "=" + roots[0], "--site", "*.two.test=" + roots[1], "--base", roots[2], "--site", "other.test=" + roots[2],
		"--listen", fmt.Sprintf("https://127.0.0.1:%d", port), "--tls-self-signed", "-v",
	}})
	w := open(t, accepting(t, s), chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"))
	for _, host := range hosts {
		for path, want := range map[string]string{"/": "/", "/moved": "/?there"} {
			w.navigate(fmt.Sprintf("https://%s:%d%s", host, port, path))
			w.settle(host)
			at := evaluate[string](w, `document.title + ' ' + location.pathname + location.search`)
			shown := evaluate[int](w, `Array.from(document.images).filter(i => i.complete && i.naturalWidth > 0).length`)
			if at != host+" "+want || shown != len(hosts) {
				t.Errorf("%s%s: title and address are %q, and %d pictures are shown; want %q and %d", host, path, at, shown, host+" "+want, len(hosts))
			}
		}
	}
	w.reportProblems()
	w.close()
	s.Stop(5 * time.Second)
	seen := map[string]int{}
	all, _ := s.Log.All()
	for _, e := range harness.WithMessage(all, "request") {
		if e.Text("protocol") != "HTTP/2.0" {
			t.Errorf("logged as %v, want protocol HTTP/2.0", e)
		}
		seen[e.Text("site")]++
	}
	if len(seen) != len(hosts) || seen["one.test"] == 0 || seen["*.two.test"] == 0 || seen["*"] == 0 {
		t.Errorf("requests by site: %v, want some for each of the three", seen)
	}
}
