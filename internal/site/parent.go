package site

import (
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// parent is the directory that contains the symbolic link of a base. It stays open as long
// as any root of the base: new releases are opened from it.
type parent struct {
	beneath
	paths []string // of the directory
	name  string   // of the base, relative to the directory
	reach int      // descriptor of the subdirectory with all releases; -1: the directory itself
	users atomic.Int32
}

// kubeData is the symbolic link that Kubernetes swaps to update a volume.
const kubeData = "..data"

// parentOf returns the parent of a base that is to be followed: one whose last symbolic link
// leads beneath the directory that contains the link, or a Kubernetes volume. It returns nil
// for an ordinary directory.
func parentOf(base string, links Symlinks) (*parent, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	dir, name := locate(base)
	if name == "" && links != LinksBeneath || base == "/" {
		return nil, nil
	}
	if name == "" {
		dir, name = filepath.Split(base)
	}
	p, err := openParent(filepath.Clean(dir), name, links)
	if err == unix.EXDEV && links != LinksBeneath {
		return nil, nil
	}
	if err == unix.EXDEV {
		if base, err = filepath.EvalSymlinks(base); err == nil {
			dir, name = filepath.Split(base)
			return openParent(filepath.Clean(dir), name, links)
		}
	}
	return p, err
}

// locate finds the last symbolic link in the absolute path of a base. It returns the directory that
// contains the link and the name of the base from there, or "" if there is no link. Links in "/"
// belong to the layout of the system and are ignored, unless one is the base itself.
func locate(base string) (dir, name string) {
	if isLink(filepath.Join(base, kubeData)) {
		return base, kubeData
	}
	for path := base; path != "/"; path = filepath.Dir(path) {
		dir = filepath.Dir(path)
		if isLink(path) && (dir != "/" || path == base) {
			return dir, strings.TrimLeft(base[len(dir):], "/")
		}
	}
	return "", ""
}

func isLink(path string) bool { return isLinkAt(unix.AT_FDCWD, path) }

func openParent(dir, name string, links Symlinks) (*parent, error) {
	b, err := openBeneath(dir, LinksInside)
	if err != nil {
		return nil, err
	}
	p := &parent{beneath: b, paths: pathsOf(dir), name: name, reach: -1}
	p.users.Store(1)
	if _, err = p.resolve(); err == nil && links != LinksBeneath {
		err = p.narrow()
	}
	if err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// narrow opens the subdirectory that contains the releases: the first element of the link's
// target, if the target has more than one.
func (p *parent) narrow() error {
	link, _, _ := strings.Cut(p.name, "/")
	real, err := expand(p.dir, p.paths, link)
	if err != nil {
		return err
	}
	if first, _, deeper := strings.Cut(real, "/"); deeper {
		p.reach, err = p.open(padded(first))
	}
	return err
}

// resolve returns the name of the current target of the base, without links.
func (p *parent) resolve() (string, error) {
	real, err := expand(p.dir, p.paths, p.name)
	if err == nil && real == "." {
		err = unix.EXDEV // the link leads to the directory that contains it
	}
	return real, err
}

// openRoot opens the current target of the base as a root, which uses p.
func (p *parent) openRoot(policy Policy) (*Root, error) {
	real, err := p.resolve()
	if err == unix.EXDEV {
		err = errOutside
	}
	if err != nil {
		return nil, err
	}
	b := beneath{resolve: resolveFlags(policy.Symlinks)}
	if b.dir, err = p.open(padded(real + "/")); err == nil {
		err = b.prepare(filepath.Join(p.paths[0], real))
	}
	if err != nil {
		return nil, err
	}
	r := newRoot(b, policy)
	r.parent, r.at = p.use(), real
	for _, path := range p.paths {
		r.paths = append(r.paths, filepath.Join(path, real), filepath.Join(path, p.name))
	}
	return r.checked()
}

// use adds a user, until release.
func (p *parent) use() *parent {
	p.users.Add(1)
	return p
}

// release removes a user, and closes p if there is no other.
func (p *parent) release() {
	if p.users.Add(-1) > 0 {
		return
	}
	if p.close(); p.reach >= 0 {
		unix.Close(p.reach)
	}
}

// directory returns the descriptor of the directory that contains all releases.
func (p *parent) directory() int {
	if p.reach >= 0 {
		return p.reach
	}
	return p.dir
}
