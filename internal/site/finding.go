package site

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Finding is one thing that a root finds out on its way from a path to a file.
type Finding struct {
	Kind   FindingKind
	Name   string // beneath the root, or what the kind says
	Path   string // as it stood in the request, of PathNamed
	File   *File  // of FileOpened, until the call returns
	Err    error  // of FileFailed
	Coding proto.Coding
	Rule   *Rule // of Cache-Control for the name, of a type; nil if none fits
	Type   *Rule // of TypeGiven
	Area   *Area // of PathLocked
}

// FindingKind says what a [Finding] is about.
type FindingKind uint8

// The kinds.
const (
	PathTooLong     FindingKind = iota // than that of any file
	PathMalformed                      // a "%" without two hexadecimal digits
	PathSlash                          // an encoded slash
	PathNUL                            // a NUL, encoded or not
	PathUp                             // the element Name is "." or "..", however encoded
	PathHidden                         // the element Name begins with a dot
	PathRules                          // it is a file of the owner's rules
	PathLocked                         // Name is in the Area
	PathNamed                          // the path is Name
	FileOpened                         // Name is File
	FileFailed                         // Name cannot be opened
	FileIndex                          // Name stands for its directory
	FileClean                          // Name is a page, for a path without .html
	FileUnclean                        // Name is a page, which has a path without .html
	FileUnlisted                       // a directory has no index and is not listed
	FileFallback                       // the fallback answers
	FileAsset                          // there is no fallback for Name, a part of a page by its extension
	FilePage                           // Name is the page for the error
	CodingStale                        // the precompressed file, in Coding, is older than the file
	CodingChosen                       // the precompressed file in Coding answers
	CodingMissing                      // no coding that the client takes is there
	CopyChosen                         // a compressed copy of the server in Coding answers
	CopyMissing                        // there is none yet; it would be in Coding
	CopyUseless                        // there is none: in Coding it would be hardly smaller
	CopyUnfit                          // there is none: the file is too small, too large, or just changed
	CodingUnneeded                     // files of this type are not worth compressing
	CodingInherent                     // files of this type are in Coding by their nature
	TypeKnown                          // of Name, by its extension
	TypeUnknown                        // of Name, whose extension is not known
	TypeNoExtension                    // of Name
	TypeGiven                          // of Name, by a rule
)

// Trace makes the root tell what it finds out, in order. It is called before the
// root is used, and is not for serving.
func (r *Root) Trace(tell func(Finding)) { r.tell = tell }

// found reports a finding, if they are traced.
func (r *Root) found(kind FindingKind, name []byte) {
	if r.tell != nil {
		r.tell(Finding{Kind: kind, Name: string(name)})
	}
}

// locked tells that a name is in an area.
func (r *Root) locked(name string, a *Area) {
	if r.tell != nil {
		r.tell(Finding{Kind: PathLocked, Name: name, Area: a})
	}
}

// refuse returns the status with which a path is refused.
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

// opened tells what came of opening a name.
func (r *Root) opened(name []byte, f *File, err error) {
	switch {
	case r.tell == nil:
	case err != nil:
		r.tell(Finding{Kind: FileFailed, Name: string(name), Err: err})
	default:
		r.tell(Finding{Kind: FileOpened, Name: string(name), File: f})
	}
}

// weighed tells what came of a precompressed file.
func (r *Root) weighed(kind FindingKind, coding proto.Coding) {
	if r.tell != nil {
		r.tell(Finding{Kind: kind, Coding: coding})
	}
}

// described tells what follows from a file's name; a rule is nil if none fits it.
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
		r.weighed(CodingInherent, f.coding)
	case !f.varies:
		r.found(CodingUnneeded, nil)
	}
}

// RealName returns the name beneath the root of an open file, as the kernel
// has it after all links (proc_pid_fd(5)); empty if it is not known.
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

// FirstLink returns the first part of a name that is a symbolic link, and where
// that leads; empty if none is.
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
