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
func (s *server) finding(f site.Finding) {
	switch f.Kind {
	case site.CodingStale, site.CodingChosen, site.CodingMissing, site.CodingUnneeded, site.CodingInherent:
		s.inherent = f.Kind == site.CodingInherent
		s.found = append(s.found, Step{"coding", codingWhy(f)})
	case site.TypeKnown, site.TypeUnknown, site.TypeNoExtension, site.TypeGiven:
		if s.kind = typeWhy(f); f.Rule != nil {
			s.rule = fmt.Sprintf("the first --cache rule that fits %q is %q", f.Name, f.Rule.Pattern+"="+f.Rule.Value)
		}
	case site.FilePage:
		s.found = append(s.found, Step{"page", "the site's own for this error would be " + f.Name})
	case site.FileOpened:
		s.found = append(s.found, Step{"file", s.opened(f)})
	case site.FileFailed:
		s.found = append(s.found, Step{"file", s.failed(f)})
	case site.FileIndex:
		s.found = append(s.found, Step{"file", "the path ends with a slash: the index " + f.Name + " stands for its directory"})
	case site.FileUnlisted:
		s.found = append(s.found, Step{"file", "a directory without an index is shown with --list alone"})
	case site.FileFallback:
		s.found = append(s.found, Step{"file", "there is none: the file of --spa answers"})
		s.rule = "the file of --spa is asked for again each time, unless a --cache rule fits it"
	case site.FileAsset:
		s.found = append(s.found, Step{"file", fmt.Sprintf("the file of --spa is for pages, and %q is a part of one by its extension", f.Name)})
	default:
		s.found = append(s.found, Step{"path", pathWhy(f)})
	}
}

func pathWhy(f site.Finding) string {
	switch f.Kind {
	case site.PathTooLong:
		return "the path is longer than that of any file"
	case site.PathMalformed:
		return `a "%" lacks its two hexadecimal digits (RFC 3986 §2.1)`
	case site.PathSlash:
		return `"%2F" is a slash inside an element: no name has one`
	case site.PathNUL:
		return "the path has a NUL: no name has one"
	case site.PathUp:
		return fmt.Sprintf("the element %q would lead up or stay: it is not resolved but refused", f.Name)
	case site.PathHidden:
		return fmt.Sprintf("the element %q begins with a dot and is hidden without --dotfiles", f.Name)
	}
	if f.Name == "" {
		return fmt.Sprintf("%q is the base itself", f.Path)
	}
	return fmt.Sprintf("%q is the name %q beneath the base", f.Path, f.Name)
}

func codingWhy(f site.Finding) string {
	switch f.Kind {
	case site.CodingStale:
		return f.Coding.Token() + " does not count: older than the file, it was made of something else"
	case site.CodingChosen:
		return f.Coding.Token() + " lies ready"
	case site.CodingInherent:
		return f.Coding.Token() + ": files of this type are compressed by their nature"
	case site.CodingMissing:
		return "none that the client takes lies ready: the file is sent as it is"
	}
	return "none is looked for: files of this type are not worth compressing"
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

func (s *server) opened(f site.Finding) string {
	modified := f.File.Modified()
	changed := string(modified.AppendFormat(nil, time.RFC3339Nano))
	if changed == "" {
		changed = fmt.Sprintf("%d s after the beginning of 1970", modified.Sec)
	}
	why := fmt.Sprintf("%q is a regular file of size %d, changed %s", f.Name, f.File.Size(), changed)
	if real := s.root.RealName(f.File.Fd()); real != "" && real != f.Name {
		why += fmt.Sprintf("; through a symbolic link it is %q", real)
	}
	return why
}

func (s *server) failed(f site.Finding) string {
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
	if link, target := s.root.FirstLink(f.Name); link != "" {
		fmt.Fprintf(&b, "; %q is a symbolic link to %q", link, target)
		if outside {
			b.WriteString(", and only relative ones that stay beneath the base are followed")
		}
	}
	return b.String()
}
