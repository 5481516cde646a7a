package site

import (
	"bytes"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxReadme is how many bytes a README that is shown beneath a listing may have.
const maxReadme = 64 << 10

// readmes remembers what was made of READMEs, by the state of their files.
type readmes struct {
	one    sync.Mutex // one is rendered at a time
	mu     sync.Mutex // guards what follows
	known  map[stamp][]byte
	oldest []stamp // in the order in which they came
}

// maxReadmes is how many are remembered.
const maxReadmes = 32

// readmeOf returns the name of the README in a directory, without regard to case,
// Markdown first; empty if there is none, or if it is too long to be shown.
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

// beginReadme finds the README of a directory whose entries are complete, and reports
// whether it is still being made. It is called with the lock held.
func (c *listed) beginReadme() (making bool) {
	name := readmeOf(c.entries)
	if _, page := c.format.(htmlFormat); !page || name == "" || !c.root.policy.Readme {
		return false
	}
	f, err := c.root.file(padded(c.path[1:] + name))
	if err != nil {
		return false
	}
	c.readmeName = name
	r := &c.root.readmes
	r.mu.Lock()
	html, known := r.known[f.stamp]
	r.mu.Unlock()
	if known {
		f.Close()
		c.readme = html
		return false
	}
	c.making = true
	c.root.making.Go(func() {
		html := c.root.readme(f, name)
		f.Close()
		c.mu.Lock()
		wakes := c.wakes
		c.readme, c.making, c.wakes = html, false, nil
		c.mu.Unlock()
		for _, wake := range wakes {
			wake()
		}
	})
	return true
}

// await calls wake once the README has been made; false: it is not being made.
func (c *listed) await(wake func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.making {
		c.wakes = append(c.wakes, wake)
	}
	return c.making
}

// readme makes HTML of a README. Markdown that cannot be rendered is shown as it is.
func (r *Root) readme(f *File, name string) []byte {
	r.readmes.one.Lock()
	defer r.readmes.one.Unlock()
	text := make([]byte, min(f.size, maxReadme))
	n, err := unix.Pread(f.fd, text, 0)
	if err != nil || n <= 0 {
		return nil
	}
	if text = bytes.TrimSpace(text[:n]); len(text) == 0 {
		return nil
	}
	if markdown := strings.HasSuffix(strings.ToLower(name), ".md"); markdown && r.Render != nil {
		html, err := r.Render(text)
		if err != nil || html == nil {
			return plain(text) // not remembered: it may be rendered the next time
		}
		r.readmes.remember(f, html)
		return html
	}
	html := plain(text)
	r.readmes.remember(f, html)
	return html
}

// plain shows text as it is.
func plain(text []byte) []byte {
	return append(appendLines([]byte("<pre>"), string(text)), "</pre>\n"...)
}

// appendLines appends plain text, of which line breaks and tabs stay what they are.
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

// remember keeps what was made of a file that cannot change without being noticed.
func (r *readmes) remember(f *File, html []byte) {
	if !f.settled {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[stamp][]byte)
	}
	if len(r.oldest) == maxReadmes {
		delete(r.known, r.oldest[0])
		r.oldest = r.oldest[1:]
	}
	r.known[f.stamp] = html
	r.oldest = append(r.oldest, f.stamp)
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
