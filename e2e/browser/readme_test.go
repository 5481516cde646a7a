package browser

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// richReadme has what READMEs usually contain, and a script and an image from elsewhere.
const richReadme = "# Title\n\nText with a [link](a.txt), `code` and ![a picture](dot.png) of our own.\n\n" +
	"## Table\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n```\n" + "a long line of code " + "that goes on and on and on and on and on and on and on and on and on and on\n```\n\n" +
	"> quoted\n\n<details><summary>more</summary>\n\ninside\n\n</details>\n\n" +
	"<script>document.title = 'run'</script><img src=\"https://example.org/pixel.png\" alt=\"from elsewhere\" onerror=\"document.title = 'run'\">\n"

// dot is a GIF image of one pixel.
const dot = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// TestReadmeInBrowser shows a README below a directory listing: its own images are shown, images
// from elsewhere are not, and no script runs.
func TestReadmeInBrowser(t *testing.T) {
	t.Parallel()
	dir := harness.Tree(t, map[string]string{"a.txt": "a", "README.md": richReadme, "dot.png": dot, "text/readme.txt": "  first\n\tsecond <b>\n"})
	for _, engine := range []string{"epoll", "netpoll"} {
		s := harness.Serve(t, dir, "--list", "--engine", engine)
		w := open(t)
		w.navigate(s.URL("/"))
		type seen struct {
			Title, Headings, Pictures, Cells string
			Scripts                          int
		}
		got, err := chromedp.Run(w.ctx, chromedp.Evaluate[seen](`({
			title: document.title,
			headings: [...document.querySelectorAll('article h2, article h3')].map(h => h.tagName + h.textContent).join(),
			pictures: [...document.querySelectorAll('article img')].map(i => i.alt + i.naturalWidth).join(),
			cells: [...document.querySelectorAll('article td')].map(c => c.textContent + c.align).join(),
			scripts: document.querySelectorAll('article script').length,
		})`))
		if want := (seen{"/", "H2Title,H3Table", "a picture1,from elsewhere0", "1left,2right", 0}); err != nil || got != want {
			t.Errorf("%s: %+v, error %v\nwant %+v", engine, got, err, want)
		}
		w.navigate(s.URL("/text/"))
		if text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.querySelector('article').innerText`)); err != nil || text != "first\n\tsecond <b>" {
			t.Errorf("%s: the plain text README is shown as %q, error %v", engine, text, err)
		}
		w.noProblems()
	}
	off := harness.Serve(t, dir, "--list", "--no-readme")
	w := open(t)
	w.navigate(off.URL("/"))
	if n, err := chromedp.Run(w.ctx, chromedp.Evaluate[int](`document.querySelectorAll('article').length`)); err != nil || n != 0 {
		t.Errorf("--no-readme: %d READMEs shown, error %v", n, err)
	}
}

// TestFilterInBrowser uses the filter of a directory listing with the keyboard alone.
func TestFilterInBrowser(t *testing.T) {
	t.Parallel()
	dir := harness.MemoryDir(t)
	for _, name := range strings.Fields("alpha.txt beta.txt gamma.txt delta.txt epsilon.txt zeta.txt eta.txt theta.TXT") {
		harness.Write(t, filepath.Join(dir, "sub", name), []byte(name))
	}
	harness.Write(t, filepath.Join(dir, "few", "a"), nil)
	s := harness.Serve(t, dir, "--list")
	w := open(t)
	w.navigate(s.URL("/few/"))
	if n, err := chromedp.Run(w.ctx, chromedp.Evaluate[int](`document.querySelectorAll('input').length`)); err != nil || n != 0 {
		t.Errorf("a short listing has %d filters, error %v; want none", n, err)
	}
	w.navigate(s.URL("/sub/"))
	shown := func() string {
		t.Helper()
		return evaluate[string](w, `[...document.querySelectorAll('tbody tr:not([hidden])')].map(r => r.cells[0].textContent).join() + ' ' + document.querySelector('caption').textContent`)
	}
	// Dispatch the event only: with the DevTools protocol, a key press would also type the slash.
	evaluate[bool](w, `document.dispatchEvent(new KeyboardEvent('keydown', {key: '/', cancelable: true}))`)
	for _, step := range []struct{ keys, want string }{
		{"", "../,alpha.txt,beta.txt,delta.txt,epsilon.txt,eta.txt,gamma.txt,theta.TXT,zeta.txt 0 directories, 8 files, 70 B in files"},
		{"ETA", "../,beta.txt,eta.txt,theta.TXT,zeta.txt 4 of 8 shown"},
		{".tx", "../,beta.txt,eta.txt,theta.TXT,zeta.txt 4 of 8 shown"},
		{"\x1b", "../,alpha.txt,beta.txt,delta.txt,epsilon.txt,eta.txt,gamma.txt,theta.TXT,zeta.txt 0 directories, 8 files, 70 B in files"},
		{"theta", "../,theta.TXT 1 of 8 shown"},
	} {
		w.do(chromedp.KeyEvent(step.keys))
		var got string
		if !harness.Holds(2*time.Second, func() bool { got = shown(); return got == step.want }) {
			t.Errorf("after %q: %s\nwant %s", step.keys, got, step.want)
		}
	}
	w.noProblems()
	w.do(chromedp.KeyEvent("\r"))
	w.awaitText("theta.TXT")
}

// awaitText waits until the text of the page is exactly this.
func (w *window) awaitText(text string) {
	w.t.Helper()
	harness.Await(w.t, harness.ClientTimeout, text, func() bool {
		got, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ''`))
		return err == nil && got == text
	})
}
