package site

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Explain makes the root say why it answers as it does, each time it decides
// something: what is the subject, or with a colon at its end the header field
// that follows from the decision, and why a sentence without its full stop. It
// is called before the root is used, and is not for serving: saying it takes
// more than doing it.
func (r *Root) Explain(say func(what, why string)) { r.say = say }

// refuse returns the status with which a path is refused, and says why.
func (r *Root) refuse(s proto.Status, why string) proto.Status {
	if r.say != nil {
		r.say("path", why)
	}
	return s
}

// refuseHidden does it for an element that [Root.hides].
func (r *Root) refuseHidden(element []byte) proto.Status {
	if r.say != nil {
		why := "begins with a dot and is hidden without --dotfiles"
		if len(element) <= 2 && strings.Trim(string(element), ".") == "" {
			why = "would lead up or stay: it is not resolved but refused"
		}
		r.say("path", fmt.Sprintf("the element %q %s", string(element), why))
	}
	return proto.StatusNotFound
}

func (r *Root) explainName(path, name []byte) {
	what := fmt.Sprintf("the name %q beneath the base", string(name))
	if len(name) == 0 {
		what = "the base itself"
	}
	r.say("path", fmt.Sprintf("%q is %s", string(path), what))
}

// explainFile says what came of opening a name.
func (r *Root) explainFile(name []byte, f *File, err error) {
	if err != nil {
		r.explainError(name, err)
		return
	}
	changed := time.Unix(0, f.modified).UTC().Format(time.RFC3339Nano)
	why := fmt.Sprintf("%q is a regular file of size %d, changed %s", string(name), f.size, changed)
	if real := r.RealName(f.fd); real != "" && real != string(name) {
		why += fmt.Sprintf("; through a symbolic link it is %q", real)
	}
	r.say("file", why)
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

func (r *Root) explainError(name []byte, err error) {
	why := fmt.Sprintf("%q: %v", string(name), err)
	switch err {
	case errDirectory, errNoSlash, errSpecial:
		why = fmt.Sprintf("%q %v", string(name), err)
	case unix.EXDEV:
		why = fmt.Sprintf("%q would lead out of the base", string(name))
	}
	if link, target := r.firstLink(string(name)); link != "" {
		why += fmt.Sprintf("; %q is a symbolic link to %q", link, target)
		if err == unix.EXDEV {
			why += ", and only relative ones that stay beneath the base are followed"
		}
	}
	r.say("file", why)
}

// firstLink returns the first part of the name that is a symbolic link, and
// where that leads; empty if none is.
func (r *Root) firstLink(name string) (link, target string) {
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

// explainKind says what follows from a file's name; rule is that of rules which
// fits it, -1 if none does.
func (r *Root) explainKind(name []byte, f *File, rules []Rule, rule int) {
	ext := string(name[strings.LastIndexByte(string(name), '/')+1:])
	dot := strings.LastIndexByte(ext, '.')
	ext = ext[dot+1:]
	switch _, known := types[strings.ToLower(ext)]; {
	case dot < 0:
		r.say("Content-Type:", fmt.Sprintf("%q has no extension; a browser saves this type and never guesses at it", string(name)))
	case !known:
		r.say("Content-Type:", fmt.Sprintf("the extension %q is not known; a browser saves this type and never guesses at it", "."+ext))
	default:
		r.say("Content-Type:", fmt.Sprintf("the type of the extension %q", "."+ext))
	}
	if rule >= 0 {
		r.say("Cache-Control:", fmt.Sprintf("the first --cache rule that fits %q is %q", string(name), rules[rule].Pattern+"="+rules[rule].Value))
	}
	if !f.varies {
		r.say("coding", "none is looked for: files of this type are not worth compressing")
	}
}
