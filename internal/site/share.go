package site

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// share is a file or directory from anywhere, served beneath the root under its own name.
type share struct {
	name string
	root *Root  // of the directory, or of the one that holds the file
	file string // its name there; "": the directory itself is shared
}

// OpenShares opens a root that contains only the given files and directories, each under its
// own name, which must be unique. A path that is a symbolic link is followed once, now; links
// beneath a shared directory are followed to places in it, or with [LinksNone] not at all.
func OpenShares(paths []string, policy Policy) (*Root, error) {
	r := newRoot(beneath{dir: -1}, policy)
	r.shares = []share{}
	for _, path := range paths {
		s, err := openShare(path, policy.Symlinks)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("share %q: %w", path, err)
		}
		r.shares = append(r.shares, s)
	}
	return r, nil
}

func openShare(path string, links Symlinks) (s share, err error) {
	s.name = filepath.Base(path)
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return s, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		path, s.file = filepath.Split(path)
	}
	if links != LinksNone {
		links = LinksInside
	}
	if err == nil {
		s.root, err = Open(path, Policy{Symlinks: links})
	}
	return s, err
}

// within returns the root of the share that contains a name, and the name relative to it.
func (r *Root) within(name []byte) (root *Root, rest []byte, err error) {
	first, rest, deeper := bytes.Cut(name, []byte("/"))
	for _, s := range r.shares {
		switch {
		case s.name != string(first):
		case s.file == "" && len(rest) > 0:
			return s.root, rest, nil
		case s.file == "":
			return s.root, append(make([]byte, 0, 2), '.'), nil
		case deeper:
			return nil, nil, unix.ENOTDIR
		default:
			return s.root, append(make([]byte, 0, len(s.file)+1), s.file...), nil
		}
	}
	return nil, nil, unix.ENOENT
}

// readShares reads the entries of a root of shares, and returns what they cost.
func (c *listed) readShares() (cost int64) {
	for _, s := range c.root.shares {
		var st unix.Stat_t
		if c.root.stat([]byte(s.name), &st) != nil {
			continue // removed since the root was opened
		}
		if e, ok := entryOf(s.name, &st); ok {
			c.entries = append(c.entries, e)
			cost += entryCost + int64(len(s.name))
		}
	}
	return cost
}
