package site

import (
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Symlinks is which symbolic links in a document root are followed.
type Symlinks uint8

// The values of [Symlinks].
const (
	LinksInside  Symlinks = iota // relative and absolute links to places in the root
	LinksBeneath                 // also links to places beneath the parent directory of the base
	LinksNone                    // no links
)

// maxLinks is the maximum number of links in a name, as in path_resolution(7).
const maxLinks = 40

// follow resolves the links in a name: the kernel follows none that is absolute, or leads out
// of the root. It returns the directory from which the result is to be opened, like all names
// beneath it: the root, or the directory that links may lead to. With an error it returns the
// name as far as it was resolved.
func (r *Root) follow(name []byte) (from *beneath, _ []byte, err error) {
	from, paths, at := &r.beneath, r.paths, string(name)
	if r.policy.Symlinks == LinksBeneath && r.parent != nil {
		from, paths, at = &r.parent.beneath, r.parent.paths, r.at+"/"+at
	}
	real, err := expand(from.dir, paths, at)
	if err == nil && strings.HasSuffix(at, "/") {
		real += "/"
	}
	return from, padded(real), err
}

// expand resolves the symbolic links in a name beneath a directory; it returns "." for the
// directory itself. An absolute link that begins with one of the directory's paths leads
// beneath it. The error is EXDEV if a link leads elsewhere. With any other error it returns
// the name as far as it was resolved, followed by the rest.
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
			continue // not a link
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

// below returns an absolute path relative to the first of the paths that contains it.
func below(paths []string, target string) (string, bool) {
	for _, path := range paths {
		rest, ok := strings.CutPrefix(target, strings.TrimSuffix(path, "/"))
		if ok && (rest == "" || rest[0] == '/') {
			return rest, true
		}
	}
	return "", false
}

// pathsOf returns the paths by which absolute links may lead to a directory: as given, and
// without links.
func pathsOf(dir string) []string {
	paths := []string{dir}
	if real, err := filepath.EvalSymlinks(dir); err == nil && real != dir {
		paths = append(paths, real)
	}
	return paths
}
