package e2e

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// settle scrolls through the page so that lazy parts load, waits for every
// image, font and media element, and returns what is broken.
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
			setTimeout(done, 8000);
		});
		if (media.error || media.readyState < 3) broken.push(media.currentSrc + ': ' + (media.error?.message ?? 'does not play'));
	}
	for (const part of document.querySelectorAll('object, embed, iframe')) {
		if (part.offsetWidth === 0) broken.push((part.data ?? part.src) + ': empty');
	}
	window.scrollTo(0, 0);
	return broken;
})()`

// TestBrowser opens every page of the demo site as its visitors do.
func TestBrowser(t *testing.T) {
	base := siteDir(t)
	for _, model := range models() {
		t.Run(model, func(t *testing.T) {
			s := serve(t, base, "--model", model)
			w := open(t)
			for _, file := range filesOf(t, base) {
				if path.Ext(file) == ".html" {
					w.visit(s, strings.TrimSuffix("/"+file, "index.html"))
				}
			}
			w.close()
			s.stop(5 * time.Second)
			checkTraffic(t, s, model != "serial")
		})
	}
}

// checkTraffic looks for errors in the log, and for persistent connections.
func checkTraffic(t *testing.T, s *server, persistent bool) {
	t.Helper()
	events, _ := s.log.all()
	requests := withMessage(events, "request")
	clients := map[string]int{}
	for _, e := range requests {
		clients[e.text("client")]++
		if status := e.number("status"); status < 200 || status >= 400 {
			t.Errorf("%s %s: %d", e.text("method"), e.text("path"), status)
		}
	}
	// Chromium opens up to six connections to a host, and gives one up when
	// it has seen enough of a video.
	if persistent && (len(clients) > 10 || len(requests) < 2*len(clients)) {
		t.Errorf("%d requests came over %d connections: are they persistent?", len(requests), len(clients))
	}
	t.Logf("%d requests over %d connections", len(requests), len(clients))
}

// window is a tab of a headless Chromium and the complaints it has had.
type window struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   map[network.RequestID]*fetch // that have not ended
	stirred    time.Time                    // when one last began or ended
}

// fetch is a request of the browser.
type fetch struct {
	kind        network.ResourceType
	method, url string
	status      int64 // 0 before the response
}

func open(t *testing.T) *window {
	t.Helper()
	chromium := tool(t, "apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-crash-reporter", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	limited, stop := context.WithTimeout(t.Context(), 90*time.Second)
	allocator, free := chromedp.NewExecAllocator(limited, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); free(); stop() })

	w := &window{t: t, ctx: ctx, requests: map[network.RequestID]*fetch{}}
	if err := chromedp.Listen(ctx, w.observe); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *window) close() {
	w.t.Helper()
	if err := chromedp.Cancel(w.ctx); err != nil {
		w.t.Errorf("close the browser: %v", err)
	}
}

// visit opens a page and waits until all of it is there.
func (w *window) visit(s *server, page string) {
	w.t.Helper()
	response, err := chromedp.Run(w.ctx, chromedp.NavigateResponse(s.url(page)))
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
	await(w.t, 10*time.Second, "the end of what "+page+" fetches", w.atRest)
	text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.title + document.body.innerText`))
	if err != nil || len(text) < 20 {
		w.t.Errorf("%s shows no more than %q: %v", page, text, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, complaint := range append(broken, w.complaints...) {
		w.t.Errorf("%s: %s", page, complaint)
	}
	w.complaints = nil
}

// atRest holds when the page's scripts have fetched whatever they fetch one
// after the other.
func (w *window) atRest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.requests {
		if f.kind != network.ResourceTypeMedia {
			return false
		}
	}
	return time.Since(w.stirred) > 300*time.Millisecond
}

// observe notes whatever a visitor would see in the developer's tools.
func (w *window) observe(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		w.requests[ev.RequestID] = &fetch{kind: ev.Type, method: ev.Request.Method, url: ev.Request.URL}
		w.stirred = time.Now()
	case *network.EventResponseReceived:
		if f := w.requests[ev.RequestID]; f != nil {
			f.status = ev.Response.Status
		}
		if ev.Response.Status >= 400 {
			w.complain("%s: status %d", ev.Response.URL, ev.Response.Status)
		}
	case *network.EventLoadingFinished:
		w.ended(ev.RequestID, "")
	case *network.EventLoadingFailed:
		w.ended(ev.RequestID, ev.ErrorText)
	case *runtime.EventConsoleAPICalled:
		for _, arg := range ev.Args {
			w.complain("console.%s: %s %s", ev.Type, arg.Value, arg.Description)
		}
	case *runtime.EventExceptionThrown:
		w.complain("exception: %v", ev.ExceptionDetails)
	case *log.EventEntryAdded:
		w.complain("%s %s: %s %s", ev.Entry.Source, ev.Entry.Level, ev.Entry.Text, ev.Entry.URL)
	}
}

// ended notes the end of a request. Chromium cancels two that are complete: a
// clip of which the player has enough, and a script's HEAD once it has been
// answered, for nothing more can follow (it does so with every server).
func (w *window) ended(id network.RequestID, failure string) {
	f := w.requests[id]
	if f == nil {
		f = &fetch{url: "an unknown request"}
	}
	delete(w.requests, id)
	w.stirred = time.Now()
	complete := f.status != 0 && (f.kind == network.ResourceTypeMedia || f.method == "HEAD")
	if failure != "" && !(complete && failure == "net::ERR_ABORTED") {
		w.complain("%s %s: %s", f.method, f.url, failure)
	}
}

func (w *window) complain(format string, args ...any) {
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}
