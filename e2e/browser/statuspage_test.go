package browser

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// statusPage is a server's status page in a browser window.
type statusPage struct {
	*window
	*harness.Endpoint
	s *harness.Server
}

// openStatusPage starts a server with an admin port and opens its status page.
func openStatusPage(t *testing.T, w *window, base string, args ...string) *statusPage {
	t.Helper()
	addr := harness.Loopback(harness.FreePort(t))
	s := harness.Serve(t, base, append(args, "--admin", addr)...)
	p := &statusPage{w, harness.EndpointAt(t, addr), s}
	w.navigate("http://" + addr + "/status")
	return p
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](w *window, script string, options ...chromedp.EvaluateOption) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		w.t.Fatalf("%s: %v", script, err)
	}
	return v
}

// text returns the text of the first element that a selector matches.
func (w *window) text(selector string) (text string) {
	w.t.Helper()
	w.awaitElement(selector, func(now string) bool { text = now; return true })
	return text
}

// awaitElement waits until the text of an element satisfies ok. A page that is just being reloaded has none.
func (w *window) awaitElement(selector string, ok func(text string) bool) {
	w.t.Helper()
	var last string
	var err error
	script := fmt.Sprintf(`document.querySelector(%q)?.textContent ?? 'no such element'`, selector)
	if !harness.Holds(10*time.Second, func() bool {
		last, err = chromedp.Run(w.ctx, chromedp.Evaluate[string](script))
		return err == nil && ok(last)
	}) {
		w.t.Fatalf("timed out waiting for %s; its text is %q, error %v", selector, last, err)
	}
}

// reportProblems reports everything that the browser complained about since the last call.
func (w *window) reportProblems() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.problems {
		w.t.Error(problem)
	}
	w.problems = nil
}

// TestStatusPage uses the status page as operators do: on screens of all sizes, with the keyboard, with
// a screen reader, paused, and without JavaScript.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	w := open(t)
	p := openStatusPage(t, w, base, "--workers", "2")
	p.checkRefresh()
	p.checkWidths()
	p.checkKeyboard()
	p.checkScreenReader()
	p.checkPause()
	w.reportProblems()
	p.checkWithoutScript()
	w.close()
	p.s.Stop(5 * time.Second)
}

// checkRefresh makes requests and waits until the page shows their number.
func (p *statusPage) checkRefresh() {
	p.s.T.Helper()
	for _, n := range []string{"3", "5"} {
		for p.Pool().Total.Answered < uint64(harness.Atoi(n)) {
			p.s.MustServe("/", "front")
		}
		p.awaitElement("#total-answered", func(text string) bool { return text == n })
	}
	for i, worker := range p.Pool().Workers {
		row := p.text(fmt.Sprintf("#rows tr:nth-child(%d)", i+1))
		if !strings.Contains(row, strconv.Itoa(worker.PID)) || !strings.Contains(row, "serving") {
			p.s.T.Errorf("row %d is %q, want worker %d, serving", i, row, worker.PID)
		}
	}
}

// checkWidths checks that the page fits a phone's, a tablet's and a desktop's screen.
func (p *statusPage) checkWidths() {
	p.s.T.Helper()
	for _, width := range []int64{390, 820, 1280} {
		p.do(chromedp.EmulateViewport(width, 900))
		if got := evaluate[int64](p.window, `document.documentElement.scrollWidth`); got > width {
			p.s.T.Errorf("at a width of %d pixels the page is %d wide", width, got)
		}
		cut := evaluate[[]string](p.window, `[...document.querySelectorAll('h1, h2, button, dt, dd, figcaption, .big, #state, td, th')].filter(e => {
			const box = e.getBoundingClientRect();
			return box.width > 0 && !e.closest('.scroll') && (box.left < 0 || box.right > innerWidth + 1);
		}).map(e => e.textContent)`)
		if len(cut) > 0 {
			p.s.T.Errorf("at a width of %d pixels these are cut off: %q", width, cut)
		}
	}
}

// checkKeyboard moves through the page with the Tab key alone.
func (p *statusPage) checkKeyboard() {
	p.s.T.Helper()
	var reached []string
	for range 20 {
		p.do(chromedp.KeyEvent("\t"))
		name := evaluate[string](p.window, `(e => e === document.body ? '' : e.id || e.getAttribute('aria-labelledby') || e.getAttribute('href'))(document.activeElement)`)
		if name == "" || slices.Contains(reached, name) {
			break // the focus has gone around
		}
		seen := evaluate[bool](p.window, `(e => getComputedStyle(e).outlineStyle !== 'none' && e.matches(':focus-visible'))(document.activeElement)`)
		if !seen {
			p.s.T.Errorf("%s has the focus, but no visible outline", name)
		}
		reached = append(reached, name)
	}
	wanted := []string{"pause", "table", "status.json", "metrics"}
	for _, w := range p.Pool().Workers {
		wanted = append(wanted, fmt.Sprintf("connections?slot=%d&pid=%d", w.Slot, w.PID))
	}
	for _, name := range wanted {
		if !slices.Contains(reached, name) {
			p.s.T.Errorf("the Tab key reaches %q, want also %s", reached, name)
		}
	}
}

// checkScreenReader checks the page's accessibility tree, which a screen reader uses.
func (p *statusPage) checkScreenReader() {
	p.s.T.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.s.T.Fatal(err)
	}
	roles, names := map[string]int{}, map[string]bool{}
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := textOf(node.Role), textOf(node.Name)
		roles[role]++
		names[role+" "+name] = true
	}
	if roles["table"] != 1 || roles["columnheader"] != 12 || roles["rowheader"] != 2 || roles["row"] != 3 || roles["main"] != 1 {
		p.s.T.Errorf("roles in the accessibility tree: %v; want a table of 12 columns and two workers", roles)
	}
	for _, want := range []string{"heading Phalanx", "heading Workers", "button Pause", "columnheader PID", "status "} {
		if !names[want] {
			p.s.T.Errorf("the accessibility tree lacks %q", want)
		}
	}
}

// textOf returns a value of the accessibility tree as text.
func textOf(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// checkPause pauses the page with its button, and resumes it with the keyboard.
func (p *statusPage) checkPause() {
	p.s.T.Helper()
	p.do(chromedp.Click(chromedp.CSS("#pause")))
	p.awaitElement("#pause", func(text string) bool { return text == "Resume" })
	harness.Await(p.s.T, 5*time.Second, "the end of the page's fetches", p.isIdle)
	held := p.text("#total-answered")
	fetches := `performance.getEntriesByType('resource').length`
	before := evaluate[int](p.window, fetches)
	p.s.MustServe("/", "front")
	time.Sleep(2500 * time.Millisecond) // unpaused, the page fetches every 2 s
	if now := p.text("#total-answered"); now != held || evaluate[int](p.window, fetches) != before {
		p.s.T.Errorf("while the page was paused, it fetched again, or its count changed from %s to %s", held, now)
	}
	p.do(chromedp.KeyEvent(" ")) // the button still has the focus
	p.awaitElement("#total-answered", func(text string) bool { return text != held })
	if text := p.text("#pause"); text != "Pause" {
		p.s.T.Errorf("the button says %q, want Pause", text)
	}
}

// checkWithoutScript checks the page without its script: a refresh reloads it.
func (p *statusPage) checkWithoutScript() {
	p.s.T.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		p.s.T.Fatal(err)
	}
	p.navigate("http://" + p.Addr + "/status")
	// The page may just be reloaded.
	harness.Await(p.s.T, 10*time.Second, "a page without the Pause button, because there is no script", func() bool {
		hidden, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`document.getElementById('pause').hidden`))
		return err == nil && hidden
	})
	for _, w := range p.Pool().Workers {
		p.awaitElement(fmt.Sprintf("#rows tr:nth-child(%d)", w.Slot+1), func(row string) bool { return strings.Contains(row, strconv.Itoa(w.PID)) })
	}
	p.s.MustServe("/", "front")
	want := fmt.Sprint(p.Pool().Total.Answered)
	p.awaitElement("#total-answered", func(text string) bool { return text == want })
}

// TestStatusPageHostile shows requests on the page whose paths contain markup, scripts and control
// characters: they appear as text only.
func TestStatusPageHostile(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	lines := []string{
		"/<script>document.title='owned'</script>",
		`/big<img/src=x/onerror=document.title='owned'>"'><svg/onload=document.title='owned'>&lt;{{.Base}}${7*7}`,
		"/big\u202egpj.exe\u2066\u200b",
	}
	for _, line := range lines {
		harness.Sparse(t, filepath.Join(base, line), 1<<30)
	}
	const cell = "#rows [data-field=line]"
	w := open(t)
	p := openStatusPage(t, w, base, "--workers", "1")
	for _, line := range lines {
		slow := p.s.Begin(line, 64<<10)
		underWay := func() bool { return p.Pool().Workers[0].Oldest != nil }
		harness.Await(t, 5*time.Second, "a request under way", underWay)
		// First the server renders the request, then the script does.
		w.navigate("http://" + p.Addr + "/status")
		shown := p.text(cell)
		want := strings.NewReplacer("\u202e", `\u202e`, "\u2066", `\u2066`, "\u200b", `\u200b`).Replace("GET " + line)
		if !strings.HasPrefix(want, strings.TrimSuffix(shown, "…")) || len(shown) < 20 {
			t.Errorf("the page shows %[2]q for %[1]q", want, shown)
		}
		evaluate[string](w, fmt.Sprintf(`document.querySelector(%q).textContent = ''`, cell))
		p.awaitElement(cell, func(text string) bool { return text != "" })
		if again := p.text(cell); again != shown {
			t.Errorf("%q is rendered as %q by the server and as %q by the script", line, shown, again)
		}
		if made := evaluate[int](w, `document.querySelectorAll('#rows script, #rows img, #rows svg').length`); made != 0 {
			t.Errorf("%q added %d elements to the page", line, made)
		}
		if title := evaluate[string](w, `document.title`); !strings.Contains(title, "Phalanx") {
			t.Errorf("%q changed the title to %q", line, title)
		}
		slow.Close()
		harness.Await(t, 5*time.Second, "the end of the request", func() bool { return !underWay() })
	}
	w.mu.Lock()
	problems := slices.Clone(w.problems)
	w.mu.Unlock()
	for _, problem := range problems {
		if !strings.Contains(problem, "net::ERR_ABORTED") { // fetches that the reload aborted
			t.Error(problem)
		}
	}
	w.close()
	p.s.Stop(5 * time.Second)
}

// TestStatusPageServerGone stops the server under an open status page and starts another one: the page
// says so, and recovers.
func TestStatusPageServerGone(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	w := open(t)
	p := openStatusPage(t, w, base, "--workers", "1")
	p.awaitElement("#state", func(text string) bool { return text == "serving" })
	w.reportProblems()
	p.s.Stop(5 * time.Second)
	p.awaitElement("#state", func(text string) bool {
		return strings.HasPrefix(text, "no response from the server since ") && strings.HasSuffix(text, "; retrying")
	})
	if title := evaluate[string](w, "document.title"); title != "not responding – Phalanx" {
		t.Errorf("the title is %q, want \"not responding – Phalanx\"", title)
	}
	next := harness.Serve(t, base, "--workers", "2", "--admin", p.Addr)
	p.awaitElement("#pid", func(text string) bool { return text == strconv.Itoa(next.PID()) })
	p.awaitElement("#state", func(text string) bool { return text == "serving" })
	if rows := evaluate[int](w, `document.querySelectorAll('#rows tr').length`); rows != 2 {
		t.Errorf("the page shows %d workers, want 2", rows)
	}
	next.Signal(syscall.SIGSTOP)
	p.awaitElement("#state", func(text string) bool { return strings.HasPrefix(text, "no response from the server since ") })
	next.Signal(syscall.SIGCONT)
	p.awaitElement("#state", func(text string) bool { return text == "serving" })
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.problems {
		if !strings.Contains(problem, "net::ERR_") { // how the browser reports an unreachable server
			t.Error(problem)
		}
	}
}
