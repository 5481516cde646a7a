package site

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Finding is a step of a root on its way from a path to a file, for package explain.
type Finding struct {
	Kind   FindingKind
	Name   string // beneath the root, or as the kind says
	Path   string // in the request; of PathNamed
	File   *File  // of FileOpened; valid until the call returns
	Err    error  // of FileFailed
	Coding proto.Coding
	Rule   *Rule // for Cache-Control, of the Type kinds; nil if none matches
	Type   *Rule // of TypeGiven
	Area   *Area // of PathLocked
}

// FindingKind is the kind of a [Finding].
type FindingKind uint8

// The kinds.
const (
	PathTooLong     FindingKind = iota // the path is longer than any file name
	PathMalformed                      // a "%" without two hexadecimal digits
	PathSlash                          // an encoded slash
	PathNUL                            // a NUL, encoded or not
	PathUp                             // the element Name is "." or "..", however encoded
	PathHidden                         // the element Name begins with a dot
	PathRules                          // the path is a rules file of the site
	PathLocked                         // Name is in the Area
	PathNamed                          // the path is Name
	FileOpened                         // Name is File
	FileFailed                         // Name cannot be opened
	FileIndex                          // Name is tried as the index file
	FileClean                          // Name is a page, for a path without .html
	FileUnclean                        // Name is a page, which has a path without .html
	FileUnlisted                       // a directory has no index and is not listed
	FileFallback                       // the fallback is used
	FileAsset                          // no fallback: by its extension, Name is a part of a page
	FilePage                           // Name is the page for the error
	CodingStale                        // the sidecar in Coding is older than the file
	CodingChosen                       // the sidecar in Coding is used
	CodingMissing                      // no sidecar in a coding that the client accepts
	CopyChosen                         // the compressed copy in Coding is used
	CopyMissing                        // no copy yet; it would be in Coding
	CopyUseless                        // no copy: in Coding it would be hardly smaller
	CopyUnfit                          // no copy: the file is too small, too large, or just changed
	CodingUnneeded                     // files of this type are not worth compressing
	CodingInherent                     // files of this type are always in Coding
	TypeKnown                          // type of Name by its extension
	TypeUnknown                        // Name has an unknown extension
	TypeNoExtension                    // Name has no extension
	TypeGiven                          // type of Name by a rule
)

// Trace makes the root report its findings, in order; nil ends that. It is not for serving,
// and must be called while the root is not in use.
func (r *Root) Trace(tell func(Finding)) { r.tell = tell }

// found reports a finding, if the root is traced.
func (r *Root) found(kind FindingKind, name []byte) {
	if r.tell != nil {
		r.tell(Finding{Kind: kind, Name: string(name)})
	}
}

// locked reports that a name is in an area.
func (r *Root) locked(name string, a *Area) {
	if r.tell != nil {
		r.tell(Finding{Kind: PathLocked, Name: name, Area: a})
	}
}

// refuse reports why a path is refused, and returns the status.
func (r *Root) refuse(s proto.Status, kind FindingKind) (name []byte, _ proto.Status) {
	r.found(kind, nil)
	return nil, s
}

// refuseHidden refuses a path for an element that the root hides.
func (r *Root) refuseHidden(element []byte) (name []byte, _ proto.Status) {
	kind := PathHidden
	if isDots(element) {
		kind = PathUp
	}
	r.found(kind, element)
	return nil, proto.StatusNotFound
}

// opened reports the result of opening a name.
func (r *Root) opened(name []byte, f *File, err error) {
	switch {
	case r.tell == nil:
	case err != nil:
		r.tell(Finding{Kind: FileFailed, Name: string(name), Err: err})
	default:
		r.tell(Finding{Kind: FileOpened, Name: string(name), File: f})
	}
}

// foundCoding reports a finding about a sidecar or a copy.
func (r *Root) foundCoding(kind FindingKind, coding proto.Coding) {
	if r.tell != nil {
		r.tell(Finding{Kind: kind, Coding: coding})
	}
}

// described reports the type of a file and the rules that match its name, nil for none.
func (r *Root) described(name []byte, f *File, typeRule, rule *Rule) {
	if r.tell == nil {
		return
	}
	kind := TypeUnknown
	switch ext, found := extension(name); {
	case typeRule != nil:
		kind = TypeGiven
	case !found:
		kind = TypeNoExtension
	case types[strings.ToLower(string(ext))] != (mediaType{}):
		kind = TypeKnown
	}
	r.tell(Finding{Kind: kind, Name: string(name), Rule: rule, Type: typeRule})
	switch {
	case f.coding != proto.Identity:
		r.foundCoding(CodingInherent, f.coding)
	case !f.varies:
		r.found(CodingUnneeded, nil)
	}
}

// RealName returns the name of an open file beneath the root, without symbolic links, as the
// kernel has it (proc_pid_fd(5)); "" if it is not known.
func (r *Root) RealName(fd int) string {
	base, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", r.dir))
	if err != nil {
		return ""
	}
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return ""
	}
	name, ok := strings.CutPrefix(real, strings.TrimSuffix(base, "/")+"/")
	if !ok {
		return ""
	}
	return name
}

// FirstLink returns the first part of a name that is a symbolic link, and its target; "" if
// there is no link.
func (r *Root) FirstLink(name string) (link, target string) {
	var space [unix.PathMax]byte
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' || name[i-1] == '/' {
			continue
		}
		if n, err := unix.Readlinkat(r.dir, name[:i], space[:]); err == nil {
			return name[:i], string(space[:n])
		}
	}
	return "", ""
}
