package site

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"phalanx/internal/rules"
)

// The rules files of a site, in its document root. They are never served.
const (
	redirectsFile = "_redirects"
	headersFile   = "_headers"
)

// ruleFiles has the rules of a site.
type ruleFiles struct {
	set   atomic.Pointer[rules.Set]
	given []rules.Text // by options
	seen  [2]stamp     // states of the files that were read; zero: no such file
}

// isRules reports whether a name beneath the root is a rules file, perhaps behind a symbolic
// link that leads back to the root.
func (r *Root) isRules(name []byte) bool {
	slash := bytes.LastIndexByte(name, '/')
	if base := name[slash+1:]; !r.policy.Rules || string(base) != redirectsFile && string(base) != headersFile {
		return false
	}
	if slash < 0 {
		return true
	}
	var dir, root unix.Stat_t
	return r.stat(padded(string(name[:slash])), &dir) == nil && fstat(r.dir, &root) == nil && dir.Dev == root.Dev && dir.Ino == root.Ino
}

// Rules returns the rules of the site; nil if there are none.
func (r *Root) Rules() *rules.Set { return r.ruleFiles.set.Load() }

// ReadRules reads the rules files and adds the given rules. After an error, which names file
// and line, the previous rules stay. It must not be called concurrently.
func (r *Root) ReadRules(given []rules.Text) error {
	r.ruleFiles.given = given
	return r.readRules(r.ruleStamps())
}

// SetRules sets the rules, without reading the rules files.
func (r *Root) SetRules(given []rules.Text) error {
	set, err := rules.Parse(given...)
	if err == nil {
		r.ruleFiles.set.Store(set)
	}
	return err
}

// ruleStamps returns the states of the rules files.
func (r *Root) ruleStamps() (all [2]stamp) {
	if !r.policy.Rules || r.shares != nil {
		return all
	}
	for i, name := range [2]string{redirectsFile, headersFile} {
		fd, err := r.open(padded(name))
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if fstat(fd, &st) == nil {
			all[i] = stampOf(&st)
		}
		unix.Close(fd)
	}
	return all
}

// readRules reads the rules files, whose states are seen, and sets the rules if all are valid.
func (r *Root) readRules(seen [2]stamp) error {
	r.ruleFiles.seen = seen
	var texts []rules.Text
	if r.policy.Rules && r.shares == nil {
		for _, t := range []rules.Text{{Name: redirectsFile}, {Name: headersFile, Kind: rules.Headers}} {
			var err error
			switch t.Bytes, err = r.readWhole(t.Name, rules.MaxText); {
			case errors.Is(err, unix.ENOENT):
				continue
			case errors.Is(err, unix.EXDEV):
				return fmt.Errorf("%s: is a symbolic link that leads out of the document root", t.Name)
			case errors.Is(err, unix.ELOOP) && r.policy.Symlinks == LinksNone:
				return fmt.Errorf("%s: is a symbolic link, and links are not followed", t.Name)
			case err != nil:
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			texts = append(texts, t)
		}
	}
	// Redirects of the options come first, because the first match applies; header fields of
	// the options come last, because later ones can remove earlier ones.
	var first, last []rules.Text
	for _, t := range r.ruleFiles.given {
		if t.Kind == rules.Redirects {
			first = append(first, t)
		} else {
			last = append(last, t)
		}
	}
	return r.SetRules(slices.Concat(first, texts, last))
}

// errChanging is the error of readWhole if the file changed meanwhile.
var errChanging = errors.New("it was changed while it was read")

// readWhole reads a file, or the first most+1 bytes of a longer one. It is an error if the
// file changes meanwhile.
func (r *Root) readWhole(name string, most int64) ([]byte, error) {
	f, err := r.regular(padded(name), fullAccess())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	whole := make([]byte, min(f.size, most+1))
	switch n, err := io.ReadFull(&content{fd: f.fd}, whole); {
	case n < len(whole) && err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	case n < len(whole), f.changed():
		return nil, errChanging
	}
	return whole, nil
}
