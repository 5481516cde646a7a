package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// TestGeneratedPages opens the pages that the server generates, in light and dark mode, on a phone's
// and a large screen: each fits and is styled, and its Content-Security-Policy blocks fetches.
func TestGeneratedPages(t *testing.T) {
	s := harness.Serve(t, harness.Tree(t, map[string]string{"sub/a.txt": "a", strings.Repeat("long", 40): ""}), "--list")
	w := open(t)
	type look struct {
		Width            int64
		Ground, Text     string
		Headings, Locked int
	}
	const see = `fetch('/').then(() => 0, () => 1).then(locked => ({
		width: document.documentElement.scrollWidth, headings: document.querySelectorAll('h1').length, locked,
		ground: getComputedStyle(document.documentElement).backgroundColor, text: getComputedStyle(document.body).color,
	}))`
	for scheme, want := range map[string]look{
		"light": {Ground: "rgb(244, 245, 247)", Text: "rgb(24, 28, 34)", Headings: 1, Locked: 1},
		"dark":  {Ground: "rgb(14, 17, 22)", Text: "rgb(231, 234, 239)", Headings: 1, Locked: 1},
	} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		for _, want.Width = range []int64{390, 1280} {
			w.do(chromedp.EmulateViewport(want.Width, 844))
			for _, path := range []string{"/", "/sub/?sort=time&order=desc", "/nothing"} {
				w.navigate(s.URL(path))
				got, err := chromedp.Run(w.ctx, chromedp.Evaluate[look](see, chromedp.EvalAwaitPromise))
				if err != nil || got != want {
					t.Errorf("%s, %s: %+v, error %v\nwant %+v", path, scheme, got, err, want)
				}
			}
		}
	}
}
