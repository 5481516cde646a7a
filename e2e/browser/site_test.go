package browser

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// settle scrolls through the page so that lazy parts load, waits for every image, font and media
// element, and returns what is broken.
const settle = `(async () => {
	const broken = [];
	window.scrollTo(0, document.documentElement.scrollHeight);
	for (const image of document.images) {
		image.loading = 'eager';
		await image.decode().catch(e => broken.push(image.src + ': ' + e));
		if (!image.complete || image.naturalWidth === 0) broken.push(image.src + ': no picture');
	}
	await document.fonts.ready;
	for (const font of document.fonts) {
		if (font.status === 'error') broken.push('font ' + font.family);
	}
	for (const media of document.querySelectorAll('audio, video')) {
		media.preload = 'auto';
		media.load();
		await new Promise(done => {
			media.addEventListener('canplaythrough', done, {once: true});
			media.addEventListener('error', done, {once: true});
			setTimeout(done, 60000);
		});
		if (media.error || media.readyState < 3) broken.push(media.currentSrc + ': ' + (media.error?.message ?? 'does not play'));
	}
	for (const part of document.querySelectorAll('object, embed, iframe')) {
		if (part.offsetWidth === 0) broken.push((part.data ?? part.src) + ': empty');
	}
	window.scrollTo(0, 0);
	return broken;
})()`

// TestSiteInBrowser opens every page of the demo site in Chromium: each is complete and causes no
// console message.
func TestSiteInBrowser(t *testing.T) {
	base := harness.SiteDir(t)
	for _, model := range harness.Models() {
		t.Run(model, func(t *testing.T) {
			s := harness.Serve(t, base, "--model", model, "--keepalive", "5m")
			w := open(t)
			for _, file := range harness.FilesOf(t, base) {
				if path.Ext(file) == ".html" {
					w.visit(s, strings.TrimSuffix("/"+file, "index.html"))
				}
			}
			w.close()
			s.Stop(5 * time.Second)
			checkTraffic(t, s, model != "serial")
		})
	}
}

// checkTraffic reports failed requests in the log, and connections that were not persistent.
func checkTraffic(t *testing.T, s *harness.Server, persistent bool) {
	t.Helper()
	events, _ := s.Log.All()
	requests := harness.WithMessage(events, "request")
	clients := map[string]int{}
	for _, e := range requests {
		clients[e.Text("client")]++
		if status := e.Number("status"); status < 200 || status >= 400 {
			t.Errorf("%s %s: %d", e.Text("method"), e.Text("path"), status)
		}
	}
	// Chromium opens up to six connections to a host, and abandons one when it has enough of a
	// video.
	if persistent && (len(clients) > 10 || len(requests) < 2*len(clients)) {
		t.Errorf("%d requests came over %d connections, want persistent ones", len(requests), len(clients))
	}
	t.Logf("%d requests over %d connections", len(requests), len(clients))
}

// visit opens a page, waits until it is complete and reports what is broken.
func (w *window) visit(s *harness.Server, page string) {
	w.t.Helper()
	response, err := chromedp.Run(w.ctx, chromedp.NavigateResponse(s.URL(page)))
	if err != nil {
		w.t.Fatalf("%s: %v", page, err)
	}
	if response.Status != 200 {
		w.t.Errorf("%s: status %d", page, response.Status)
	}
	broken, err := chromedp.Run(w.ctx, chromedp.Evaluate[[]string](settle, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Errorf("%s: %v", page, err)
	}
	w.settle(page)
	text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.title + document.body.innerText`))
	if err != nil || len(text) < 20 {
		w.t.Errorf("%s shows only %q, error %v", page, text, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range append(broken, w.problems...) {
		w.t.Errorf("%s: %s", page, problem)
	}
	w.problems = nil
}
