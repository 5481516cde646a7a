package site

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"phalanx/internal/proto"
)

func TestReadmeOf(t *testing.T) {
	for want, names := range map[string]string{
		"README.md":  "README.md",
		"readme.MD":  "a readme.MD readme.txt",
		"Readme.txt": "Readme.txt README.markdown README",
		"":           "README other.md",
	} {
		var entries []entry
		for name := range strings.FieldsSeq(names) {
			entries = append(entries, entry{name: name, size: 1})
		}
		if got := readmeOf(entries); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
	if got := readmeOf([]entry{{name: "README.md", dir: true}, {name: "readme.md", size: maxReadme + 1}, {name: "README.txt", size: 0}}); got != "" {
		t.Errorf("%q is shown", got)
	}
}

// awaited lists a directory as a connection does, and waits for the rendered README.
func awaited(t *testing.T, r *Root, path string) (html, tag string) {
	t.Helper()
	l, status := r.List([]byte(path), nil, false, new(proto.Access))
	if status != proto.StatusOK {
		t.Fatal(status)
	}
	defer l.Close()
	for {
		ready, status := l.Prepare()
		if status != proto.StatusOK {
			t.Fatal(status)
		}
		if ready {
			return string(whole(l)), string(l.ETag())
		}
		done := make(chan struct{})
		if l.Await(func() { close(done) }) {
			<-done
		}
	}
}

// readmeRoot returns a root whose Markdown is rendered as its text followed by "!".
func readmeRoot(t *testing.T, dir string) (r *Root, calls *atomic.Int32) {
	r = openRoot(t, dir)
	r.policy.List, r.policy.Readme = true, true
	calls = new(atomic.Int32)
	r.Render = func(markdown []byte) ([]byte, error) {
		calls.Add(1)
		if string(markdown) == "broken <b>" {
			return nil, errors.New("broken")
		}
		return append(markdown, '!'), nil
	}
	return r, calls
}

// A README is shown below the listing: Markdown rendered, plain text as it is, and so is Markdown
// that cannot be rendered. It is rendered once as long as it does not change.
func TestReadme(t *testing.T) {
	dir := planted(t, "md/", "md/README.md: # a", "txt/", "txt/ReadMe.txt: <b>\u202e\r\n\tc\n", "broken/", "broken/readme.md: broken <b>", "none/", "none/a: x", "blank/", "blank/README.txt:  \n")
	for _, name := range []string{"md/README.md", "txt/ReadMe.txt", "broken/readme.md"} {
		old(t, filepath.Join(dir, name))
	}
	r, calls := readmeRoot(t, dir)
	for path, want := range map[string]string{
		"/md/":     "<article aria-label=\"README.md\">\n# a!</article>\n",
		"/txt/":    "<article aria-label=\"ReadMe.txt\">\n<pre>&lt;b&gt;[U+202E]\n\tc</pre>\n</article>\n",
		"/broken/": "<article aria-label=\"readme.md\">\n<pre>broken &lt;b&gt;</pre>\n</article>\n",
		"/none/":   "",
		"/blank/":  "",
	} {
		html, _ := awaited(t, r, path)
		_, got, _ := strings.Cut(html, "</script>\n")
		if got != want+"</main>\n" {
			t.Errorf("%s ends in %q, want %q", path, got, want)
		}
	}
	before := calls.Load()
	_, tag := awaited(t, r, "/md/")
	if calls.Load() != before {
		t.Error("an unchanged README is rendered again")
	}
	plant(t, dir, "md/README.md: # b")
	old(t, dir+"/md/README.md")
	r.Now = func() time.Time { return time.Now().Add(2 * sharedFor) }
	html, changed := awaited(t, r, "/md/")
	if !strings.Contains(html, "# b!") || changed == tag {
		t.Errorf("after a change the tag %s was %s: %s", changed, tag, html)
	}
	if list := jsonListing(t, r, "/md/"); strings.Contains(list, "# b") {
		t.Error("JSON has the README")
	}
	r.policy.Readme = false
	if html, _ := awaited(t, r, "/md/"); strings.Contains(html, "<article") {
		t.Error("a README is shown although READMEs are switched off")
	}
}

// A README that could not be rendered is rendered at the next attempt.
func TestReadmeThatFailsOnce(t *testing.T) {
	dir := planted(t, "README.md: x")
	old(t, filepath.Join(dir, "README.md"))
	r, _ := readmeRoot(t, dir)
	render := r.Render
	r.Render = func([]byte) ([]byte, error) { return nil, errors.New("no process to be had") }
	if html, _ := awaited(t, r, "/"); !strings.Contains(html, "<pre>x</pre>") {
		t.Errorf("without being rendered: %s", html)
	}
	r.Render = render
	if html, _ := awaited(t, r, "/"); !strings.Contains(html, "x!") {
		t.Errorf("rendered: %s", html)
	}
}

// A listing that waits for its README delays nobody, and may be closed.
func TestReadmeIsAwaited(t *testing.T) {
	dir := planted(t, "README.md: x")
	r, _ := readmeRoot(t, dir)
	finish := make(chan struct{})
	r.Render = func([]byte) ([]byte, error) { <-finish; return []byte("made"), nil }
	one, _ := r.List([]byte("/"), nil, false, new(proto.Access))
	for !one.Await(func() {}) {
		if ready, status := one.Prepare(); ready || status != proto.StatusOK {
			t.Fatal("the listing is ready without its README")
		}
	}
	woken := make(chan struct{})
	if ready, _ := one.Prepare(); ready || !one.Await(func() { close(woken) }) {
		t.Fatal("the listing does not wait for the README")
	}
	one.Close()
	close(finish)
	<-woken
	r.making.Wait()
	if n := r.listings.held.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// All listings of a directory wait for one rendering of its README, and READMEs of many
// directories do not wait for each other without end.
func TestReadmesHaveTurns(t *testing.T) {
	dir := t.TempDir()
	for i := range maxTurns + 2 {
		plant(t, dir, fmt.Sprintf("%d/", i), fmt.Sprintf("%d/README.md: x", i))
		old(t, fmt.Sprintf("%s/%d/README.md", dir, i))
	}
	r, calls := readmeRoot(t, dir)
	finish, render := make(chan struct{}), r.Render
	r.Render = func(text []byte) ([]byte, error) { <-finish; return render(text) }
	begun := func(path, query string) *Listing {
		l, _ := r.List([]byte(path), []byte(query), false, new(proto.Access))
		for !l.Await(func() {}) {
			if ready, status := l.Prepare(); ready || status != proto.StatusOK {
				t.Fatalf("%s is ready without its README", path)
			}
		}
		return l
	}
	for i := range maxTurns {
		defer begun(fmt.Sprintf("/%d/", i), "").Close()
	}
	for r.readmes.turns.Load() < maxTurns {
		time.Sleep(time.Millisecond)
	}
	defer begun("/0/", "sort=size").Close()
	if html, _ := awaited(t, r, fmt.Sprintf("/%d/", maxTurns)); !strings.Contains(html, "<pre>x</pre>") {
		t.Errorf("without a turn: %s", html)
	}
	close(finish)
	r.making.Wait()
	if n := calls.Load(); n != maxTurns || len(r.readmes.oldest) != maxTurns || r.readmes.turns.Load() != 0 || len(r.readmes.made) != 0 {
		t.Errorf("%d are rendered, %d cached, %d under way", n, len(r.readmes.oldest), r.readmes.turns.Load())
	}
	if html, _ := awaited(t, r, fmt.Sprintf("/%d/", maxTurns+1)); !strings.Contains(html, "x!") {
		t.Errorf("afterwards: %s", html)
	}
}

// The number of cached READMEs is bounded.
func TestReadmesAreBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range maxReadmes + 3 {
		plant(t, dir, fmt.Sprintf("%d/", i), fmt.Sprintf("%d/README.md: %d", i, i))
		old(t, fmt.Sprintf("%s/%d/README.md", dir, i))
	}
	r, _ := readmeRoot(t, dir)
	r.Now = func() time.Time { return time.Now().Add(time.Hour) }
	for i := range maxReadmes + 3 {
		awaited(t, r, fmt.Sprintf("/%d/", i))
	}
	if len(r.readmes.known) != maxReadmes || len(r.readmes.oldest) != maxReadmes {
		t.Errorf("%d are cached", len(r.readmes.known))
	}
}
