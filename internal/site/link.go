package site

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Symlinks says which symbolic links in a document root are followed.
type Symlinks uint8

// What is followed.
const (
	LinksInside  Symlinks = iota // those that lead to what is in the root, relative or absolute
	LinksBeneath                 // those too that lead beneath the directory that the base lies in
	LinksNone                    // none
)

// maxLinks is how many links a name may lead through, as in path_resolution(7).
const maxLinks = 40

// openLinked opens a name that the kernel does not open because a link in it is absolute,
// or leads out of the root. What the links say is only taken for a name: the kernel opens
// that one as it opens all, beneath the root, or the directory that links may lead to.
func (r *Root) openLinked(name []byte) (int, error) {
	from, name, err := r.follow(name)
	if err != nil {
		return -1, err
	}
	return from.open(name)
}

// statLinked does the same to look at it.
func (r *Root) statLinked(name []byte, st *unix.Stat_t) error {
	from, name, err := r.follow(name)
	if err != nil {
		return err
	}
	return from.stat(name, st)
}

// follow returns a name without links, and from where it is to be opened; with an error, as
// much of it as is known.
func (r *Root) follow(name []byte) (from *beneath, _ []byte, err error) {
	from, paths, at := &r.beneath, r.paths, string(name)
	if r.policy.Symlinks == LinksBeneath && r.place != nil {
		from, paths, at = &r.place.beneath, r.place.paths, r.at+"/"+at
	}
	real, err := expand(from.dir, paths, at)
	if err == nil && strings.HasSuffix(at, "/") {
		real += "/"
	}
	return from, padded(real), err
}

// expand returns what a name beneath a directory is when its symbolic links are followed;
// "." for the directory itself. paths are those of the directory: an absolute link that
// begins with one leads beneath it. EXDEV says that a link leads elsewhere. With any other
// error comes what is known: the links until there are followed.
func expand(dir int, paths []string, name string) (string, error) {
	var done []string
	var space [unix.PathMax]byte
	rest := strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		element := rest[0]
		rest = rest[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", unix.EXDEV
			}
			done = done[:len(done)-1]
			continue
		}
		done = append(done, element)
		n, err := unix.Readlinkat(dir, strings.Join(done, "/"), space[:])
		if err == unix.EINVAL {
			continue // no link
		}
		if err != nil {
			return strings.Join(append(done, rest...), "/"), err
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		done = done[:len(done)-1]
		target := string(space[:n])
		if filepath.IsAbs(target) {
			var ok bool
			if target, ok = below(paths, target); !ok {
				return "", unix.EXDEV
			}
			done = done[:0]
		}
		rest = slices.Concat(strings.Split(target, "/"), rest)
	}
	if len(done) == 0 {
		return ".", nil
	}
	return strings.Join(done, "/"), nil
}

// below returns the rest of an absolute path that begins with one of the paths.
func below(paths []string, target string) (string, bool) {
	for _, path := range paths {
		rest, ok := strings.CutPrefix(target, strings.TrimSuffix(path, "/"))
		if ok && (rest == "" || rest[0] == '/') {
			return rest, true
		}
	}
	return "", false
}

// pathsOf returns the names under which an absolute link may lead to a directory: as it was
// given, and without links.
func pathsOf(dir string) []string {
	paths := []string{dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
		paths = append(paths, real)
	}
	return paths
}
