package browser

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"phalanx/e2e/harness"
)

// listingScript reads a listing as a screen reader would, and fetches what its links lead to.
const listingScript = `(async () => {
	const rows = [];
	for (const row of document.querySelectorAll('tbody tr')) {
		const link = row.querySelector('a');
		const cells = [...row.cells].map(cell => cell.textContent);
		const answer = cells[0] === '../' || cells[0].endsWith('/') ? null : await fetch(link.href);
		rows.push({cells, url: link.href, body: answer && answer.ok ? await answer.text() : '', status: answer ? answer.status : 0});
	}
	return {
		lang: document.documentElement.lang,
		title: document.title,
		caption: document.querySelector('main table caption')?.textContent ?? '',
		headings: [...document.querySelectorAll('thead th')].map(th => th.scope + ' ' + th.textContent + ' ' + (th.getAttribute('aria-sort') ?? '')),
		path: document.querySelector('nav[aria-label]')?.textContent ?? '',
		scripts: document.querySelectorAll('script, img, svg, iframe').length,
		rows,
	};
})()`

// shown is a listing as the browser shows it.
type shown struct {
	Lang, Title, Caption, Path string
	Headings                   []string
	Scripts                    int
	Rows                       []struct {
		Cells     []string
		URL, Body string
		Status    int
	}
}

// hostileTree returns a directory with names that could break pages, links and JSON. The content of
// each file is unique.
func hostileTree(t *testing.T) (dir string, names map[string]string) {
	t.Helper()
	dir, names = harness.MemoryDir(t), map[string]string{}
	for i, name := range append(harness.OddNames(), "javascript:alert(1)", "<img src=x onerror=alert(1)>.txt", "\"><svg onload=alert(2)>",
		"</td><b>bold", "&amp;lt;.txt", "data:text,x", "http:", "index.htm", "'single'.txt", "${x}.txt", "\u2028separator.txt", "-rf", "favicon.ico") {
		if strings.Contains(name, "/") {
			continue
		}
		content := fmt.Sprint("file ", i)
		harness.Write(t, filepath.Join(dir, name), []byte(content))
		names[name] = content
	}
	harness.Write(t, filepath.Join(dir, "sub & <dir>", "inner\".txt"), []byte("inner"))
	return dir, names
}

// TestListingOfHostileNames compares a listing of names that could break it, as Chromium shows it, with
// the directory and with the listing as JSON.
func TestListingOfHostileNames(t *testing.T) {
	dir, names := hostileTree(t)
	s := harness.Serve(t, dir, "--list")
	w := open(t)
	// The page's Content-Security-Policy would forbid what the test's script does.
	if _, err := chromedp.Call(w.ctx, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	w.navigate(s.URL("/"))
	page := w.listing()
	checkPage(t, page)
	as := s.List("/?format=json")
	if by := s.List("/", "Accept: text/html;q=0.5, application/json"); !slices.Equal(by.Entries, as.Entries) {
		t.Errorf("JSON by Accept differs from JSON by query: %v", by)
	}
	hidden := 0
	for name := range names {
		if strings.HasPrefix(name, ".") {
			hidden++
		}
	}
	if len(as.Entries) != len(names)-hidden+1 || len(page.Rows) != len(as.Entries) {
		t.Errorf("%d entries as JSON and %d on the page, want %d", len(as.Entries), len(page.Rows), len(names)-hidden+1)
	}
	for i, row := range page.Rows[:min(len(page.Rows), len(as.Entries))] {
		e := as.Entries[i]
		name, err := url.PathUnescape(path.Base(row.URL))
		if e.Type == "directory" {
			e.Name += "/"
		} else if err != nil || row.Status != 200 || row.Body != names[name] || e.Size != len(row.Body) {
			t.Errorf("%q leads to %s: status %d, content %q, want %q", e.Name, row.URL, row.Status, row.Body, names[name])
		}
		if row.Cells[0] != legible(e.Name) || row.Cells[2] != e.Modified.Format("2006-01-02 15:04") {
			t.Errorf("the page has %q where JSON has %v", row.Cells, e)
		}
	}
	w.clickThrough(s, page)
	w.noProblems()
}

// legible returns a name as a page shows it: characters that would affect the display are replaced
// by their code points, as far as the hostile names have any.
func legible(name string) string {
	return strings.NewReplacer("\t", "U+0009", "\n", "U+000A", "\x1b", "U+001B", "\x7f", "U+007F",
		"\u202e", "U+202E", "\u2028", "U+2028").Replace(name)
}

// listing reads the current listing.
func (w *window) listing() shown {
	w.t.Helper()
	page, err := chromedp.Run(w.ctx, chromedp.Evaluate[shown](listingScript, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatal(err)
	}
	return page
}

// checkPage checks what a screen reader needs, and that no name has become an element.
func checkPage(t *testing.T, page shown) {
	t.Helper()
	if page.Lang != "en" || page.Title == "" || page.Caption == "" || page.Path == "" {
		t.Errorf("lang %q, title %q, caption %q, path %q: none may be missing", page.Lang, page.Title, page.Caption, page.Path)
	}
	if page.Scripts != 1 { // the page's own script
		t.Errorf("%d scripts, images and frames, want 1; the others come from file names", page.Scripts)
	}
	want := []string{"col Name ascending", "col Size ", "col Changed (UTC) "}
	if !slices.Equal(page.Headings, want) {
		t.Errorf("headings %q, want %q", page.Headings, want)
	}
}

// clickThrough follows links as a user does.
func (w *window) clickThrough(s *harness.Server, page shown) {
	w.t.Helper()
	click := func(selector, name, arrives string) {
		w.t.Helper()
		script := fmt.Sprintf(`(() => { const link = [...document.querySelectorAll(%q)].find(a => a.textContent === %q); link.click(); return link.href; })()`, selector, name)
		evaluate[string](w, script)
		harness.Await(w.t, 5*time.Second, fmt.Sprintf("%q after a click on %q", arrives, name), func() bool {
			text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.readyState === 'complete' ? decodeURIComponent(location.pathname + location.search) + ' ' + document.body.innerText : ''`))
			return err == nil && strings.HasPrefix(text, arrives)
		})
	}
	click("tbody a", "sub & <dir>/", "/sub & <dir>/ ")
	click("tbody a", "inner\".txt", "/sub & <dir>/inner\".txt inner")
	w.navigate(s.URL("/sub%20%26%20%3Cdir%3E/"))
	inside := w.listing()
	if len(inside.Rows) != 2 || inside.Rows[0].Cells[0] != "../" || !strings.Contains(inside.Path, "sub & <dir>") {
		w.t.Errorf("the directory is shown as %+v", inside)
	}
	click("nav a", "root", "/ ")
	click("thead a", "Size", "/?sort=size&order=asc ")
	sorted := w.listing()
	if sorted.Headings[1] != "col Size ascending" || len(sorted.Rows) != len(page.Rows) {
		w.t.Errorf("sorted by size: headings %q, %d rows", sorted.Headings, len(sorted.Rows))
	}
	click("thead a", "Size", "/?sort=size&order=desc ")
	if sorted = w.listing(); sorted.Headings[1] != "col Size descending" {
		w.t.Errorf("sorted by size, descending: headings %q", sorted.Headings)
	}
	click("tbody a", "lineU+000Abreak.txt", "/line\nbreak.txt file ")
}

// TestListingOnNarrowScreen shows a listing on a phone's screen: it fits the width, and a row whose
// name needs no wrapping is one line high.
func TestListingOnNarrowScreen(t *testing.T) {
	dir := harness.Tree(t, map[string]string{
		"short.txt": "", "empty/.hidden": "", "a name that needs more than one line as it has so many words.jpeg": "",
		"anamethatneedsmorethanonelinethoughithasbutonewordandnoplacetobreak.tar.gz": "",
	})
	harness.Sparse(t, filepath.Join(dir, "large.bin"), 999<<20)
	s := harness.Serve(t, dir, "--list")
	w := open(t)
	w.do(chromedp.EmulateViewport(390, 844))
	w.navigate(s.URL("/"))
	type layout struct {
		Width, Tall float64
		Dates       []string
	}
	got := evaluate[layout](w, `({
		width: document.documentElement.scrollWidth,
		tall: Math.max(...[...document.querySelectorAll('tbody tr')]
			.filter(row => row.cells[0].textContent.length < 12).map(row => row.offsetHeight)),
		dates: [...document.querySelectorAll('tbody td:nth-child(3)')].map(cell => cell.innerText),
	})`)
	if got.Width != 390 || got.Tall > 40 || len(got.Dates) != 5 || len(got.Dates[0]) != len("2006-01-02") {
		t.Errorf("layout at 390 pixels: %+v", got)
	}
	w.navigate(s.URL("/empty/"))
	if text, err := chromedp.Run(w.ctx, chromedp.Evaluate[string](`document.querySelector('main').innerText`)); err != nil || text != "This directory is empty." {
		t.Errorf("an empty directory shows %q, error %v", text, err)
	}
	w.noProblems()
}

// noProblems reports everything that the browser complained about.
func (w *window) noProblems() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, problem := range w.problems {
		w.t.Error(problem)
	}
}
