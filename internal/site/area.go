package site

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Area is a part of the site for which clients need credentials: what the pattern fits, as
// that of a [Rule] does, and everything beneath that. Whether a file is in it is decided
// by each name that leads to the file: that of the request, whether or not there is such a
// file, and that of the file that would be sent.
type Area struct {
	Pattern string
	Realm   int // whose credentials: 0 to proto.MaxRealms-1; several areas may have the same
}

// errLocked means that the request lacks credentials.
var errLocked = errors.New("needs credentials")

// admits reports whether a request may have what is at a name, and notes what it needs for
// that.
func (r *Root) admits(name []byte, access *proto.Access) bool {
	if len(r.policy.Areas) == 0 {
		return true
	}
	realms := r.realms(string(name))
	if realms == 0 {
		return true
	}
	access.Used |= realms
	return realms&^access.Granted == 0
}

// hidden reports whether a request is not to know of a name.
func (r *Root) hidden(name string, granted proto.Realms) bool {
	return len(r.policy.Areas) > 0 && r.realms(name)&^granted != 0
}

// everything grants what is there: to the server itself.
func everything() *proto.Access { return &proto.Access{Granted: ^proto.Realms(0)} }

// enter opens a name for reading, for a request that may have it.
func (r *Root) enter(name []byte, access *proto.Access) (fd int, err error) {
	if !r.admits(name, access) {
		return -1, errLocked
	}
	if len(r.policy.Areas) == 0 {
		return r.open(name)
	}
	straight := r.beneath.withoutLinks()
	if fd, err = straight.open(name); err == nil || !passesLink(err) || r.policy.Symlinks == LinksNone {
		return fd, err
	}
	// What the kernel opens is what was decided about, and nothing that a link leads to
	// a moment later.
	from, real, err := r.follow(name)
	if inside := r.inside(from, real); inside != "" && !r.admits([]byte(inside), access) {
		return -1, errLocked
	}
	if err != nil {
		return -1, err
	}
	straight = from.withoutLinks()
	return straight.open(real)
}

// passesLink reports whether a name was perhaps not opened because of a symbolic link.
func passesLink(err error) bool { return err == unix.ELOOP || err == unix.ENOTDIR }

// inside returns what a name, to be opened from there, is beneath the root; "" if it is
// not, or the root itself.
func (r *Root) inside(from *beneath, name []byte) string {
	clean := path.Clean(string(name))
	if from != &r.beneath {
		clean, _ = strings.CutPrefix(clean, r.at+"/")
		if clean == path.Clean(string(name)) {
			return ""
		}
	}
	return clean
}

// leadsToHidden reports whether a name is a link to something that a request is not to
// know of.
func (r *Root) leadsToHidden(name string, granted proto.Realms) bool {
	if len(r.policy.Areas) == 0 {
		return false
	}
	from, real, _ := r.follow([]byte(name))
	return r.hidden(r.inside(from, real), granted)
}

// maxDepth is how many directories a name may be in before it counts as one of the first
// area, whatever the patterns: each of them would be matched with all those directories,
// which takes a hundred milliseconds for as many as a request can name.
const maxDepth = 64

// realms returns the protection space of the first area that a name is in; none if there
// is no such area. It is that of a file's other names too: of a sidecar by the name of its
// file, and of a page by its clean path.
func (r *Root) realms(name string) proto.Realms {
	deep := strings.Count(name, "/") > maxDepth
	for n := range r.policy.Areas {
		if a := &r.policy.Areas[n]; deep || a.has(name) || a.has(r.stem(name)) {
			r.locked(name, a)
			return 1 << a.Realm
		}
	}
	return 0
}

// stem returns a name without the suffixes of what is made of a file.
func (r *Root) stem(name string) string {
	for _, coding := range [...]proto.Coding{proto.Gzip, proto.Zstd, proto.Brotli} {
		if stem, ok := strings.CutSuffix(name, coding.Suffix()); ok {
			return r.stem(stem)
		}
	}
	if r.policy.Clean {
		name = strings.TrimSuffix(name, pageSuffix)
	}
	return name
}

// has reports whether a name, or a directory on the way to it, fits the pattern.
//
// A file system may take names that differ in case, or in dots and spaces at the end, for
// the same; so they are here.
func (a *Area) has(name string) bool {
	name = strings.TrimSuffix(name, "/")
	as, lower := Rule{Pattern: a.Pattern}, Rule{Pattern: strings.ToLower(a.Pattern)}
	return as.fitsPart(name) || lower.fitsPart(folded(name))
}

// fitsPart reports whether the rule is for a name, or for a directory on the way to it.
func (rule *Rule) fitsPart(name string) bool {
	if rule.fits("") {
		return true
	}
	for end := 1; end <= len(name); end++ {
		if (end == len(name) || name[end] == '/') && rule.fits(name[:end]) {
			return true
		}
	}
	return false
}

// folded returns what names that lead to the same file have in common.
func folded(name string) string {
	elements := strings.Split(strings.ToLower(name), "/")
	for i, element := range elements {
		elements[i] = strings.TrimRight(element, ". ")
	}
	return strings.Join(elements, "/")
}
