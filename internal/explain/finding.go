package explain

import (
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"

	"phalanx/internal/site"
)

// finding puts into words what the root found out.
func (x *exchange) finding(f site.Finding) {
	say := x.heard.say
	switch f.Kind {
	case site.PathTooLong:
		say("path", "the path is longer than that of any file")
	case site.PathMalformed:
		say("path", `a "%" lacks its two hexadecimal digits (RFC 3986 §2.1)`)
	case site.PathSlash:
		say("path", `"%2F" is a slash inside an element: no name has one`)
	case site.PathNUL:
		say("path", "the path has a NUL: no name has one")
	case site.PathUp:
		say("path", fmt.Sprintf("the element %q would lead up or stay: it is not resolved but refused", f.Name))
	case site.PathHidden:
		say("path", fmt.Sprintf("the element %q begins with a dot and is hidden without --dotfiles", f.Name))
	case site.PathNamed:
		what := fmt.Sprintf("the name %q beneath the base", f.Name)
		if f.Name == "" {
			what = "the base itself"
		}
		say("path", fmt.Sprintf("%q is %s", f.Path, what))
	case site.FileOpened:
		say("file", x.opened(f))
	case site.FileFailed:
		say("file", x.failed(f))
	case site.FileIndex:
		say("file", "the path ends with a slash: the index "+f.Name+" stands for its directory")
	case site.FileUnlisted:
		say("file", "a directory without an index is shown with --list alone")
	case site.FileFallback:
		say("file", "there is none: the file of --spa answers")
	case site.FilePage:
		say("page", "the site's own for this error would be "+f.Name)
	case site.CodingStale:
		say("coding", f.Coding.Token()+" does not count: older than the file, it was made of something else")
	case site.CodingChosen:
		say("coding", f.Coding.Token()+" lies ready")
		say("Content-Encoding:", "the file that lies ready is in this coding")
	case site.CodingMissing:
		say("coding", "none that the client takes lies ready: the file is sent as it is")
	case site.CodingUnneeded:
		say("coding", "none is looked for: files of this type are not worth compressing")
	case site.CodingInherent:
		say("coding", f.Coding.Token()+": files of this type are compressed by their nature")
		say("Content-Encoding:", "files of this type are in this coding, by their nature")
	case site.TypeKnown, site.TypeUnknown, site.TypeNoExtension, site.TypeGiven:
		say("Content-Type:", typeWhy(f))
		if f.Rule != nil {
			say("Cache-Control:", fmt.Sprintf("the first --cache rule that fits %q is %q", f.Name, f.Rule.Pattern+"="+f.Rule.Value))
		}
	}
}

func typeWhy(f site.Finding) string {
	const saved = "; a browser saves this type and never guesses at it"
	switch ext := path.Ext(f.Name); f.Kind {
	case site.TypeKnown:
		return fmt.Sprintf("the type of the extension %q", ext)
	case site.TypeGiven:
		return fmt.Sprintf("the first --type rule that fits %q is %q", f.Name, f.Type.Pattern+"="+f.Type.Value)
	case site.TypeUnknown:
		return fmt.Sprintf("the extension %q is not known", ext) + saved
	}
	return fmt.Sprintf("%q has no extension", f.Name) + saved
}

func (x *exchange) opened(f site.Finding) string {
	modified := f.File.Modified()
	changed := string(modified.AppendFormat(nil, time.RFC3339Nano))
	if changed == "" {
		changed = fmt.Sprintf("%d s after the beginning of 1970", modified.Sec)
	}
	why := fmt.Sprintf("%q is a regular file of size %d, changed %s", f.Name, f.File.Size(), changed)
	if real := x.root.RealName(f.File.Fd()); real != "" && real != f.Name {
		why += fmt.Sprintf("; through a symbolic link it is %q", real)
	}
	return why
}

func (x *exchange) failed(f site.Finding) string {
	var b strings.Builder
	outside := f.Err == syscall.EXDEV
	switch _, system := f.Err.(syscall.Errno); {
	case outside:
		fmt.Fprintf(&b, "%q would lead out of the base", f.Name)
	case system:
		fmt.Fprintf(&b, "%q: %v", f.Name, f.Err)
	default: // what is there is no file
		fmt.Fprintf(&b, "%q %v", f.Name, f.Err)
	}
	if link, target := x.root.FirstLink(f.Name); link != "" {
		fmt.Fprintf(&b, "; %q is a symbolic link to %q", link, target)
		if outside {
			b.WriteString(", and only relative ones that stay beneath the base are followed")
		}
	}
	return b.String()
}
