package site

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// maxReadme is the maximum size in bytes of a README that is shown beneath a listing.
const maxReadme = 64 << 10

// readmes caches rendered READMEs, by the state of their files.
type readmes struct {
	mu     sync.Mutex // guards the fields below, except turns
	known  map[stamp][]byte
	oldest []stamp             // keys of known, the oldest first
	made   map[stamp][]*listed // being rendered, with the lists that wait
	turn   chan struct{}       // full while one is rendered; created with made
	turns  atomic.Int32        // READMEs that are rendered or wait for their turn
}

// Rendering takes a process and time, so READMEs are rendered one at a time. If too many wait,
// or one has waited too long, it is shown as plain text this time.
const (
	maxTurns = 5 // one is rendered, the others wait
	turnTime = 5 * time.Second
)

// maxReadmes is the maximum number of READMEs in the cache.
const maxReadmes = 32

// readmeOf returns the name of the README in a directory: README.md, or else README.txt, in
// any case; "" if there is none, or if it is too large to be shown.
func readmeOf(entries []entry) (found string) {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.dir || e.size > maxReadme || e.size == 0:
		case strings.EqualFold(e.name, "README.md"):
			return e.name
		case strings.EqualFold(e.name, "README.txt"):
			found = e.name
		}
	}
	return found
}

// beginReadme finds the README of a directory whose entries are complete, and sets making if
// it is not in the cache. It is called with the lock held.
func (c *listed) beginReadme() {
	name := readmeOf(c.entries)
	if _, page := c.format.(htmlFormat); !page || name == "" || !c.root.policy.Readme {
		return
	}
	f, err := c.root.file(padded(c.path[1:]+name), &proto.Access{Granted: c.granted})
	if err != nil {
		return
	}
	c.readmeName = name
	r := &c.root.readmes
	r.mu.Lock()
	defer r.mu.Unlock()
	html, known := r.known[f.stamp]
	waiting, begun := r.made[f.stamp]
	switch c.readme, c.making = html, !known; {
	case known:
		f.Close()
	case begun:
		r.made[f.stamp] = append(waiting, c)
		f.Close()
	default:
		if r.made == nil {
			r.made, r.turn = make(map[stamp][]*listed), make(chan struct{}, 1)
		}
		r.made[f.stamp] = []*listed{c}
		c.root.making.Go(func() { c.root.makeReadme(f, name) })
	}
}

// makeReadme renders a README, for all lists that wait for it.
func (r *Root) makeReadme(f *File, name string) {
	html, lasting := r.readme(f, name)
	m := &r.readmes
	m.mu.Lock()
	if lasting && f.settled { // otherwise a change could go unnoticed
		m.remember(f.stamp, html)
	}
	waiting := m.made[f.stamp]
	delete(m.made, f.stamp)
	m.mu.Unlock()
	f.Close()
	for _, c := range waiting {
		c.made(html)
	}
}

// await arranges that wake is called once what is being made has been. It returns false if
// nothing is.
func (c *listed) await(wake func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.making {
		c.wakes = append(c.wakes, wake)
	}
	return c.making
}

// readme returns a README as HTML, and whether that may be cached. Markdown that cannot be
// rendered now is returned as plain text, which may not.
func (r *Root) readme(f *File, name string) (html []byte, lasting bool) {
	text := make([]byte, min(f.size, maxReadme))
	n, err := unix.Pread(f.fd, text, 0)
	if err != nil || n <= 0 {
		return nil, false
	}
	if text = bytes.TrimSpace(text[:n]); len(text) == 0 {
		return nil, false
	}
	if !strings.HasSuffix(strings.ToLower(name), ".md") || r.Render == nil {
		return plain(text), true
	}
	if r.readmes.takeTurn() {
		defer r.readmes.giveTurn()
		if html, err = r.Render(text); err == nil && html != nil {
			return html, true
		}
	}
	return plain(text), false
}

// takeTurn waits for the turn to render. It returns false if that would take too long.
func (r *readmes) takeTurn() bool {
	if r.turns.Add(1) <= maxTurns {
		timer := time.NewTimer(turnTime)
		defer timer.Stop()
		select {
		case r.turn <- struct{}{}:
			return true
		case <-timer.C:
		}
	}
	r.turns.Add(-1)
	return false
}

func (r *readmes) giveTurn() {
	<-r.turn
	r.turns.Add(-1)
}

// plain returns text as preformatted HTML.
func plain(text []byte) []byte {
	return append(appendLines([]byte("<pre>"), string(text)), "</pre>\n"...)
}

// appendLines is appendText for text with line breaks and tabs, which it keeps.
func appendLines(dst []byte, text string) []byte {
	for line := range strings.SplitAfterSeq(text, "\n") {
		line, end := strings.CutSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\r")
		for i, part := range strings.Split(line, "\t") {
			if i > 0 {
				dst = append(dst, '\t')
			}
			dst = appendText(dst, part, "[", "]")
		}
		if end {
			dst = append(dst, '\n')
		}
	}
	return dst
}

// remember caches a rendered README. It is called with the lock held.
func (r *readmes) remember(s stamp, html []byte) {
	if r.known == nil {
		r.known = make(map[stamp][]byte)
	}
	if len(r.oldest) == maxReadmes {
		delete(r.known, r.oldest[0])
		r.oldest = r.oldest[1:]
	}
	r.known[s] = html
	r.oldest = append(r.oldest, s)
}

// appendReadme appends the README to a page, beneath the list.
func appendReadme(dst []byte, l *listed) []byte {
	if len(l.readme) == 0 {
		return dst
	}
	dst = append(dst, "<article aria-label=\""...)
	dst = appendText(dst, l.readmeName, "[", "]")
	dst = append(dst, "\">\n"...)
	return append(append(dst, l.readme...), "</article>\n"...)
}
