package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// TestCORSInChromium lets a page read a range of another server's file, in a request that needs a
// preflight, with --cors only.
func TestCORSInChromium(t *testing.T) {
	base := harness.Tree(t, map[string]string{
		"index.html": "<!DOCTYPE html><html lang=en><title>page</title><link rel=icon href=data:,>", "file.txt": "0123456789",
	})
	page, shared, private := harness.Serve(t, base), harness.Serve(t, base, "--cors"), harness.Serve(t, base)
	w := open(t)
	w.navigate(page.URL("/"))
	read := func(s *harness.Server) string {
		script := fmt.Sprintf(`fetch(%q, {headers: {Range: 'bytes=2-4', 'X-Own': '1'}}).then(
			async r => [r.status, await r.text(), r.headers.get('Content-Range')].join(' '), e => String(e))`, s.URL("/file.txt"))
		return evaluate[string](w, script, chromedp.EvalAwaitPromise)
	}
	if got := read(shared); got != "206 234 bytes 2-4/10" {
		t.Errorf("with --cors a script reads %q, want 206 with the range", got)
	}
	if got := read(private); !strings.Contains(got, "Failed to fetch") {
		t.Errorf("without --cors a script reads %q, want an error", got)
	}
}
