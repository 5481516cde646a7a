package explain

import (
	"fmt"
	"path"
	"strings"
	"syscall"
	"time"

	"phalanx/internal/site"
)

// finding adds the step for a finding of the root.
func (s *server) finding(f site.Finding) {
	what, why := "file", ""
	switch f.Kind {
	case site.CodingStale, site.CodingChosen, site.CodingMissing, site.CodingUnneeded, site.CodingInherent,
		site.CopyChosen, site.CopyMissing, site.CopyUseless, site.CopyUnfit:
		s.inherent = f.Kind == site.CodingInherent
		what, why = "coding", codingWhy(f)
	case site.TypeKnown, site.TypeUnknown, site.TypeNoExtension, site.TypeGiven:
		if s.kind = typeWhy(f); f.Rule != nil {
			s.rule = fmt.Sprintf("the first --cache rule that matches %q is %q", f.Name, f.Rule.Pattern+"="+f.Rule.Value)
		}
		return
	case site.PathLocked:
		what, why = "password", fmt.Sprintf("the first --auth pattern that matches %q is %q", f.Name, f.Area.Pattern)
	case site.FilePage:
		what, why = "page", "the document root's own page for this error would be "+f.Name
	case site.FileOpened:
		why = s.opened(f)
	case site.FileFailed:
		why = s.failed(f)
	case site.FileIndex:
		why = "the path ends with a slash, so the index file " + f.Name + " is served"
	case site.FileClean:
		why = fmt.Sprintf("%q is the page of this path (--clean-urls)", f.Name)
	case site.FileUnclean:
		why = fmt.Sprintf("%q is a page that has a path without .html, and without a slash at its end (--clean-urls)", f.Name)
	case site.FileUnlisted:
		why = "it is a directory without an index file, and listed only with --list"
	case site.FileFallback:
		why = "there is no such file; the --spa fallback is served"
		s.rule = "the --spa fallback is revalidated each time, unless a --cache rule matches it"
	case site.FileAsset:
		why = fmt.Sprintf("the --spa fallback is for pages; by its extension, %q is a part of a page", f.Name)
	default:
		what, why = "path", pathWhy(f)
	}
	s.found = append(s.found, Step{what, why})
}

func pathWhy(f site.Finding) string {
	switch f.Kind {
	case site.PathTooLong:
		return "the path is longer than any file's path can be"
	case site.PathMalformed:
		return `a "%" lacks its two hexadecimal digits (RFC 3986 §2.1)`
	case site.PathSlash:
		return `"%2F" is a slash inside a segment, and no file name has one`
	case site.PathNUL:
		return "the path has a NUL, and no file name has one"
	case site.PathUp:
		return fmt.Sprintf("the segment %q is refused, not resolved", f.Name)
	case site.PathRules:
		return "it is the file that holds the rules of the site, which is never served"
	case site.PathHidden:
		return fmt.Sprintf("the name %q begins with a dot, and is served only with --dotfiles", f.Name)
	}
	if f.Name == "" {
		return fmt.Sprintf("%q is the document root", f.Path)
	}
	return fmt.Sprintf("%q is the name %q in the document root", f.Path, f.Name)
}

func codingWhy(f site.Finding) string {
	switch f.Kind {
	case site.CodingStale:
		return f.Coding.Token() + " sidecar ignored: it is older than the file"
	case site.CodingChosen:
		return f.Coding.Token() + " sidecar found"
	case site.CodingInherent:
		return f.Coding.Token() + ": files of this type are always compressed"
	case site.CopyChosen:
		return "no sidecar, but a " + f.Coding.Token() + " copy in --cache-dir, which --compress has made"
	case site.CopyMissing:
		return "no sidecar, and no copy in --cache-dir yet: a server with --compress makes one in " + f.Coding.Token() + " once the file has been requested"
	case site.CopyUseless:
		return "no sidecar, and no copy in --cache-dir: the file compresses by less than 5 percent"
	case site.CopyUnfit:
		return "no sidecar, and no copy in --cache-dir: files that are smaller than 1 KiB, larger than 64 MiB, or changed within two seconds have none"
	case site.CodingMissing:
		return "no sidecar that the client accepts; the file is sent as it is"
	}
	return "no sidecar looked for: files of this type do not compress further"
}

func typeWhy(f site.Finding) string {
	const saved = "; a browser saves this type and never guesses at it"
	switch ext := path.Ext(f.Name); f.Kind {
	case site.TypeKnown:
		return fmt.Sprintf("the type of the extension %q", ext)
	case site.TypeGiven:
		return fmt.Sprintf("the first --type rule that matches %q is %q", f.Name, f.Type.Pattern+"="+f.Type.Value)
	case site.TypeUnknown:
		return fmt.Sprintf("the extension %q is not known", ext) + saved
	}
	return fmt.Sprintf("%q has no extension", f.Name) + saved
}

func (s *server) opened(f site.Finding) string {
	modified := f.File.Modified()
	changed := string(modified.AppendFormat(nil, time.RFC3339Nano))
	if changed == "" {
		changed = fmt.Sprintf("%d s after the Unix epoch", modified.Sec)
	}
	why := fmt.Sprintf("%q is a regular file of size %d, changed %s", f.Name, f.File.Size(), changed)
	if real := s.root.RealName(f.File.Fd()); real != "" && real != f.Name {
		why += fmt.Sprintf("; through a symbolic link it is %q", real)
	}
	return why
}

// followed describes which symbolic links are followed.
func followed(links site.Symlinks) string {
	if links == site.LinksBeneath {
		return ", and --symlinks beneath follows only links to places beneath the parent directory of the document root"
	}
	return ", and --symlinks inside follows only links to places in the document root"
}

func (s *server) failed(f site.Finding) string {
	var b strings.Builder
	outside := f.Err == syscall.EXDEV
	none := f.Err == syscall.ELOOP && s.root.Symlinks() == site.LinksNone
	switch _, system := f.Err.(syscall.Errno); {
	case outside:
		fmt.Fprintf(&b, "%q leads out of the document root", f.Name)
	case none:
		fmt.Fprintf(&b, "%q is behind a symbolic link, and --symlinks none follows none", f.Name)
	case system:
		fmt.Fprintf(&b, "%q: %v", f.Name, f.Err)
	default: // not an error of the system: the name is not a regular file
		fmt.Fprintf(&b, "%q %v", f.Name, f.Err)
	}
	if link, target := s.root.FirstLink(f.Name); link != "" {
		fmt.Fprintf(&b, "; %q is a symbolic link to %q", link, target)
		if outside {
			b.WriteString(followed(s.root.Symlinks()))
		}
	}
	return b.String()
}
