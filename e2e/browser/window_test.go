package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// window is a tab of a headless Chromium and what it complained about.
type window struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	requests map[network.RequestID]*fetch // under way
	changed  time.Time                    // when the last one began or ended
}

// fetch is a request of the browser.
type fetch struct {
	kind        network.ResourceType
	method, URL string
	status      int64 // 0 before the response
}

func open(t *testing.T, more ...chromedp.ExecAllocatorOption) *window {
	t.Helper()
	chromium := harness.Tool(t, "apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(2*time.Minute), // to start
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-crash-reporter", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	options = append(options, more...)
	limited, stop := context.WithTimeout(t.Context(), 8*time.Minute)
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

// isIdle reports whether no request is under way, and none has begun or ended for 300 ms.
func (w *window) isIdle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.requests {
		if f.kind != network.ResourceTypeMedia {
			return false
		}
	}
	return time.Since(w.changed) > 300*time.Millisecond
}

// settle waits until no request is under way, and reports requests that did not end. On a busy machine
// Chromium does not always report the end of its request for an icon.
func (w *window) settle(page string) {
	w.t.Helper()
	if harness.Holds(10*time.Second, w.isIdle) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	icons := len(w.requests) > 0
	for id, f := range w.requests {
		if f.kind == network.ResourceTypeOther && f.status == 0 {
			delete(w.requests, id)
			continue
		}
		icons = false
		w.t.Errorf("%s: %s %s (%s) did not end; status %d", page, f.method, f.URL, f.kind, f.status)
	}
	if !icons {
		w.t.FailNow()
	}
}

// observe records what the browser's developer tools would show.
func (w *window) observe(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		w.requests[ev.RequestID] = &fetch{kind: ev.Type, method: ev.Request.Method, URL: ev.Request.URL}
		w.changed = time.Now()
	case *network.EventResponseReceived:
		if f := w.requests[ev.RequestID]; f != nil {
			f.status = ev.Response.Status
		}
		if ev.Response.Status >= 400 {
			w.addProblem("%s: status %d", ev.Response.URL, ev.Response.Status)
		}
	case *network.EventLoadingFinished:
		w.ended(ev.RequestID, "")
	case *network.EventLoadingFailed:
		w.ended(ev.RequestID, ev.ErrorText)
	case *runtime.EventConsoleAPICalled:
		for _, arg := range ev.Args {
			w.addProblem("console.%s: %s %s", ev.Type, arg.Value, arg.Description)
		}
	case *runtime.EventExceptionThrown:
		w.addProblem("exception: %v", ev.ExceptionDetails)
	case *log.EventEntryAdded:
		w.addProblem("%s %s: %s %s", ev.Entry.Source, ev.Entry.Level, ev.Entry.Text, ev.Entry.URL)
	}
}

// ended records the end of a request. Chromium cancels two kinds of completed requests, with every
// server: a clip of which the player has enough, and a script's HEAD after its response.
func (w *window) ended(id network.RequestID, failure string) {
	f := w.requests[id]
	if f == nil {
		f = &fetch{URL: "an unknown request"}
	}
	delete(w.requests, id)
	w.changed = time.Now()
	complete := f.status != 0 && (f.kind == network.ResourceTypeMedia || f.method == "HEAD")
	late := strings.HasSuffix(f.URL, "/status.json") // the status page aborts it after 5 s, and asks again
	if failure != "" && !((complete || late) && failure == "net::ERR_ABORTED") {
		w.addProblem("%s %s: %s", f.method, f.URL, failure)
	}
}

func (w *window) addProblem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// do acts on the page.
func (w *window) do(action chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, action); err != nil {
		w.t.Fatal(err)
	}
}

// navigate opens a page and waits until it is loaded.
func (w *window) navigate(url string) {
	w.t.Helper()
	if _, err := chromedp.Run(w.ctx, chromedp.NavigateResponse(url)); err != nil {
		w.t.Fatalf("%s: %v", url, err)
	}
}
