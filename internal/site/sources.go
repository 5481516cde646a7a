package site

import (
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Source is a file that is served and worth compressing.
type Source struct {
	Name string // beneath the root
	Stat unix.Stat_t
}

// Sources calls found for each file that is served and worth compressing by its type, in no
// particular order, until found returns an error. Files that cannot be read are left out,
// since they are not served either.
func (r *Root) Sources(found func(Source) error) error {
	w := walk{root: r, access: fullAccess(), to: sources{r, found}, seen: make(map[inode]struct{}), todo: []directory{{}}}
	return w.all()
}

// sources is a packer that packs nothing.
type sources struct {
	root  *Root
	found func(Source) error
}

func (s sources) directory(string, *unix.Stat_t) error { return nil }
func (s sources) close() error                         { return nil }

func (s sources) file(name string, st *unix.Stat_t, _ io.Reader) error {
	if t, _ := s.root.typeOf([]byte(name)); !t.compressible {
		return nil
	}
	return s.found(Source{name, *st})
}

// OpenName opens a file by its name beneath the root, for reading.
func (r *Root) OpenName(name string) (*os.File, error) {
	fd, err := r.open(padded(name))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// OpenDirectory opens the directory that contains a name beneath the root, and returns the
// last element of the name.
func (r *Root) OpenDirectory(name string) (dir *os.File, base string, err error) {
	parent, base := path.Split(name)
	dir, err = r.directory(padded(strings.TrimSuffix(parent, "/")), fullAccess())
	if err == nil && dir == nil {
		err = unix.EROFS // the root of shares is not a directory
	}
	return dir, base, err
}
