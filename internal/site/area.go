package site

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Area is a part of the site for which clients need credentials: the names that the pattern matches,
// like that of a [Rule], and everything beneath. Each name of a file counts: the name in the
// request, whether or not such a file exists, and the name of the file that would be sent.
type Area struct {
	Pattern string
	Realm   int // protection space, 0 to proto.MaxRealms-1; several areas may share one
}

// errLocked means that the request lacks credentials.
var errLocked = errors.New("needs credentials")

// admits reports whether a request has access to a name, and adds the credentials that the name
// needs to access.Used.
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

// hidden reports whether a name must be hidden from a request.
func (r *Root) hidden(name string, granted proto.Realms) bool {
	return len(r.policy.Areas) > 0 && r.realms(name)&^granted != 0
}

// fullAccess grants access to all areas, for the server itself.
func fullAccess() *proto.Access { return &proto.Access{Granted: ^proto.Realms(0)} }

// enter opens a name for reading, if the request has access to it.
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
	// The kernel must open exactly the name that was checked, even if a link is changed
	// meanwhile.
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

// passesLink reports whether an error may be due to a symbolic link in the name.
func passesLink(err error) bool { return err == unix.ELOOP || err == unix.ENOTDIR }

// inside returns the path beneath the root of a name relative to from; "" if it is the root itself or
// outside.
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

// leadsToHidden reports whether a name is a link to something that is hidden from a request.
func (r *Root) leadsToHidden(name string, granted proto.Realms) bool {
	if len(r.policy.Areas) == 0 {
		return false
	}
	from, real, _ := r.follow([]byte(name))
	return r.hidden(r.inside(from, real), granted)
}

// maxDepth limits the directories in a name. A deeper name belongs to the first area, whatever the
// patterns: matching each pattern with each directory would take a hundred milliseconds for as many
// as a request can name.
const maxDepth = 64

// realms returns the protection space of the first area that contains a name; none if there is no such
// area. The other names of a file count too: the file of a sidecar, and the clean path of a page.
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

// stem returns a name without the suffixes of sidecars and pages.
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

// has reports whether a name, or a directory on the way to it, matches the pattern.
//
// Some file systems treat names that differ only in case, or in dots and spaces at the end, as the
// same; so does has.
func (a *Area) has(name string) bool {
	name = strings.TrimSuffix(name, "/")
	as, lower := Rule{Pattern: a.Pattern}, Rule{Pattern: strings.ToLower(a.Pattern)}
	return as.matchesPart(name) || lower.matchesPart(folded(name))
}

// matchesPart reports whether the rule matches a name, or a directory on the way to it.
func (rule *Rule) matchesPart(name string) bool {
	if rule.matches("") {
		return true
	}
	for end := 1; end <= len(name); end++ {
		if (end == len(name) || name[end] == '/') && rule.matches(name[:end]) {
			return true
		}
	}
	return false
}

// folded returns a form of a name that is the same for all names of one file.
func folded(name string) string {
	elements := strings.Split(strings.ToLower(name), "/")
	for i, element := range elements {
		elements[i] = strings.TrimRight(element, ". ")
	}
	return strings.Join(elements, "/")
}
