package site

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"phalanx/internal/rules"
)

// The files at the root in which the owner of a site writes rules down. They are never
// served.
const (
	redirectsFile = "_redirects"
	headersFile   = "_headers"
)

// ruleFiles is what was read of them.
type ruleFiles struct {
	set   atomic.Pointer[rules.Set]
	given []rules.Text // by options
	seen  [2]stamp     // of the files when they were read; zero: there is none
}

// isRules reports whether a name beneath the root is a file of rules.
func (r *Root) isRules(name []byte) bool {
	return r.policy.Rules && len(name) > 0 && name[0] == '_' && (string(name) == redirectsFile || string(name) == headersFile)
}

// Rules returns the rules of the site; nil if there are none.
func (r *Root) Rules() *rules.Set { return r.ruleFiles.set.Load() }

// ReadRules reads the rules of the site, beside those that are given. After an error,
// which names file and line, those that were read before stay. It is called by one
// goroutine at a time.
func (r *Root) ReadRules(given []rules.Text) error {
	r.ruleFiles.given = given
	return r.readRules(r.ruleStamps())
}

// GiveRules takes rules that are given, and none of the files.
func (r *Root) GiveRules(given []rules.Text) error {
	set, err := rules.Parse(given...)
	if err == nil {
		r.ruleFiles.set.Store(set)
	}
	return err
}

// ruleStamps looks at the files.
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

// readRules reads the files that were seen, whole or not at all.
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
				return fmt.Errorf("%s: is a symbolic link, and --symlinks none follows none", t.Name)
			case err != nil:
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			texts = append(texts, t)
		}
	}
	// Redirects of options come first, because the first counts; their header fields come
	// last, because a later one can remove those before.
	var first, last []rules.Text
	for _, t := range r.ruleFiles.given {
		if t.Kind == rules.Redirects {
			first = append(first, t)
		} else {
			last = append(last, t)
		}
	}
	return r.GiveRules(slices.Concat(first, texts, last))
}

// errChanging is why a file was not read.
var errChanging = errors.New("it was changed while it was read")

// readWhole reads a file, which may not change meanwhile; of one that is longer than most
// bytes, a byte more.
func (r *Root) readWhole(name string, most int64) ([]byte, error) {
	f, err := r.regular(padded(name), everything())
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
