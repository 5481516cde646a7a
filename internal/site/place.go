package site

import (
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// place is a directory in which a base lies. It is open for as long as a root of the base
// is: what the base leads to next is found beneath it, and opened from it.
type place struct {
	beneath
	paths []string // of the directory
	name  string   // of the base in it
	reach int      // descriptor of the directory in it that has all releases; -1: all of it
	users atomic.Int32
}

// kubeData is the symbolic link by which Kubernetes swaps the content of a volume.
const kubeData = "..data"

// placeOf returns the place of a base that leads elsewhere in time: the last symbolic link
// on its path leads beneath the directory that it lies in, or it is a volume of Kubernetes.
// nil: it is a directory like any other.
func placeOf(base string, links Symlinks) (*place, error) {
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
	p, err := openPlace(filepath.Clean(dir), name, links)
	if err == unix.EXDEV && links != LinksBeneath {
		return nil, nil
	}
	if err == unix.EXDEV {
		if base, err = filepath.EvalSymlinks(base); err == nil {
			dir, name = filepath.Split(base)
			return openPlace(filepath.Clean(dir), name, links)
		}
	}
	return p, err
}

// locate finds the last symbolic link on the absolute path of a base, the directory that it lies in
// and the name of the base from there; "": there is none. Links in "/" are part of how the
// system is laid out, unless they are the base itself.
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

func openPlace(dir, name string, links Symlinks) (*place, error) {
	b, err := openBeneath(dir, LinksInside)
	if err != nil {
		return nil, err
	}
	p := &place{beneath: b, paths: pathsOf(dir), name: name, reach: -1}
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

// narrow finds the directory in which the base's releases lie: the first of those through
// which its link leads, if that leads through any.
func (p *place) narrow() error {
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

// resolve returns the name of what the base leads to now, without links.
func (p *place) resolve() (string, error) {
	real, err := expand(p.dir, p.paths, p.name)
	if err == nil && real == "." {
		err = unix.EXDEV // the directory that the base lies in is not beneath itself
	}
	return real, err
}

// openRoot opens what the base leads to now as a root, which uses the place.
func (p *place) openRoot(policy Policy) (*Root, error) {
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
	r.place, r.at = p.use(), real
	for _, path := range p.paths {
		r.paths = append(r.paths, filepath.Join(path, real), filepath.Join(path, p.name))
	}
	return r.checked()
}

// use makes the place one that another root uses.
func (p *place) use() *place {
	p.users.Add(1)
	return p
}

// release closes the place, if no other root uses it.
func (p *place) release() {
	if p.users.Add(-1) > 0 {
		return
	}
	if p.close(); p.reach >= 0 {
		unix.Close(p.reach)
	}
}

// directory returns the descriptor of the directory in which all roots lie.
func (p *place) directory() int {
	if p.reach >= 0 {
		return p.reach
	}
	return p.dir
}
