package explain

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"phalanx/internal/site"
)

const (
	noCopy = "no sidecar, and no copy in --cache-dir"
	saved  = "; a browser saves this type and never guesses at it"
)

// findings has the steps for findings of the root. {name} stands for the quoted name of the
// finding, {bare} for the name as it is, {ext} for its extension, {path} for the path in the
// request, and {coding} for the coding.
var findings = map[site.FindingKind]Step{
	site.PathTooLong:     {"path", "the path is longer than any file's path can be"},
	site.PathMalformed:   {"path", `a "%" lacks its two hexadecimal digits (RFC 3986 §2.1)`},
	site.PathSlash:       {"path", `"%2F" is a slash inside a segment, and no file name has one`},
	site.PathNUL:         {"path", "the path has a NUL, and no file name has one"},
	site.PathUp:          {"path", "the segment {name} is refused, not resolved"},
	site.PathRules:       {"path", "it is the file that holds the rules of the site, which is never served"},
	site.PathHidden:      {"path", "the name {name} begins with a dot, and is served only with --dotfiles"},
	site.PathNamed:       {"path", "{path} is the name {name} in the document root"},
	site.FilePage:        {"page", "the document root's own page for this error would be {bare}"},
	site.FileIndex:       {"file", "the path ends with a slash, so the index file {bare} is served"},
	site.FileClean:       {"file", "{name} is the page of this path (--clean-urls)"},
	site.FileUnclean:     {"file", "{name} is a page that has a path without .html, and without a slash at its end (--clean-urls)"},
	site.FileUnlisted:    {"file", "it is a directory without an index file, and listed only with --list"},
	site.FileFallback:    {"file", "there is no such file; the --spa fallback is served"},
	site.FileAsset:       {"file", "the --spa fallback is for pages; by its extension, {name} is a part of a page"},
	site.CodingStale:     {"coding", "{coding} sidecar ignored: it is older than the file"},
	site.CodingChosen:    {"coding", "{coding} sidecar found"},
	site.CodingInherent:  {"coding", "{coding}: files of this type are always compressed"},
	site.CodingMissing:   {"coding", "no sidecar that the client accepts; the file is sent as it is"},
	site.CodingUnneeded:  {"coding", "no sidecar looked for: files of this type do not compress further"},
	site.CopyChosen:      {"coding", "no sidecar, but a {coding} copy in --cache-dir, which --compress has made"},
	site.CopyMissing:     {"coding", noCopy + " yet: a server with --compress makes one in {coding} once the file has been requested"},
	site.CopyUseless:     {"coding", noCopy + ": the file compresses by less than 5 percent"},
	site.CopyUnfit:       {"coding", noCopy + ": files that are smaller than 1 KiB, larger than 64 MiB, or changed within two seconds have none"},
	site.TypeKnown:       {"type", "the type of the extension {ext}"},
	site.TypeUnknown:     {"type", "the extension {ext} is not known" + saved},
	site.TypeNoExtension: {"type", "{name} has no extension" + saved},
}

// finding adds the step for a finding of the root.
func (s *server) finding(f site.Finding) {
	step := findings[f.Kind]
	step.Why = strings.NewReplacer("{name}", strconv.Quote(f.Name), "{bare}", f.Name, "{ext}", strconv.Quote(path.Ext(f.Name)),
		"{path}", strconv.Quote(f.Path), "{coding}", f.Coding.Token()).Replace(step.Why)
	switch f.Kind {
	case site.PathNamed:
		if f.Name == "" {
			step.Why = fmt.Sprintf("%q is the document root", f.Path)
		}
	case site.PathLocked:
		step = Step{"password", fmt.Sprintf("the first --auth pattern that matches %q is %q", f.Name, f.Area.Pattern)}
	case site.FileOpened:
		step = Step{"file", s.opened(f)}
	case site.FileFailed:
		step = Step{"file", s.failed(f)}
	case site.FileFallback:
		s.rule = "the --spa fallback is revalidated each time, unless a --cache rule matches it"
	case site.TypeGiven:
		step = Step{"type", fmt.Sprintf("the first --type rule that matches %q is %q", f.Name, f.Type.Pattern+"="+f.Type.Value)}
	}
	switch step.What {
	case "coding":
		s.inherent = f.Kind == site.CodingInherent
	case "type": // of the Content-Type field
		if s.kind = step.Why; f.Rule != nil {
			s.rule = fmt.Sprintf("the first --cache rule that matches %q is %q", f.Name, f.Rule.Pattern+"="+f.Rule.Value)
		}
		return
	}
	s.found = append(s.found, step)
}

func (s *server) opened(f site.Finding) string {
	modified := f.File.Modified()
	when := string(modified.AppendFormat(nil, time.RFC3339Nano))
	if when == "" {
		when = fmt.Sprintf("%d s after the Unix epoch", modified.Sec)
	}
	why := fmt.Sprintf("%q is a regular file of size %d, modified %s", f.Name, f.File.Size(), when)
	if real := s.root.RealName(f.File.Fd()); real != "" && real != f.Name {
		why += fmt.Sprintf("; through a symbolic link it is %q", real)
	}
	return why
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
		switch {
		case outside && s.root.Symlinks() == site.LinksBeneath:
			b.WriteString(", and --symlinks beneath follows only links to places beneath the parent directory of the document root")
		case outside:
			b.WriteString(", and --symlinks inside follows only links to places in the document root")
		}
	}
	return b.String()
}
