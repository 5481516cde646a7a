package site

import (
	"bytes"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// The names that [Policy].Clean affects.
const (
	pageSuffix = ".html"
	indexPage  = "index.html"
)

// findPage is find with clean paths, if the policy has them: /about is about.html, and
// about.html has no other path. The path of a directory ends with a slash, that of a page
// does not. If another file has the clean path of a page, the page keeps its suffix.
func (r *Root) findPage(path, name []byte, access *proto.Access) (*File, []byte, error) {
	f, full, err := r.find(name, access)
	if !r.policy.Clean {
		return f, full, err
	}
	switch {
	case err == nil:
		if r.unclean(path, name, access) {
			f.Close()
			r.found(FileUnclean, name)
			return nil, name, errUnclean
		}
	case err == errDirectory || err == errLocked || len(name) == 0 || bytes.HasSuffix(name, []byte(pageSuffix)):
	case name[len(name)-1] == '/':
		if err != unix.ENOENT && err != unix.ENOTDIR {
			break
		}
		page, pageErr := r.pageOf(name[:len(name)-1], access)
		if pageErr == errLocked {
			return nil, name, errLocked
		}
		if pageErr == nil {
			page.Close()
			r.found(FileUnclean, append(name[:len(name)-1], pageSuffix...))
			return nil, name, errUnclean
		}
	case err == errNoSlash || err == unix.ENOENT:
		page, pageErr := r.pageOf(name, access)
		switch {
		case pageErr == errLocked:
			return nil, name, errLocked
		case pageErr != nil:
		case r.isIndexPath(path, name):
			page.Close()
			r.found(FileUnclean, append(name, pageSuffix...))
			return nil, name, errUnclean
		default:
			full = append(name, pageSuffix...)
			r.found(FileClean, full)
			return page, full, nil
		}
	}
	return f, full, err
}

// pageOf opens the page of a name without .html.
func (r *Root) pageOf(name []byte, access *proto.Access) (*File, error) {
	if len(name)+len(pageSuffix) >= cap(name) {
		return nil, unix.ENAMETOOLONG
	}
	return r.file(append(name, pageSuffix...), access)
}

// unclean reports whether a file has a cleaner path than the one in the request. A path with
// an encoded suffix is not changed.
func (r *Root) unclean(path, name []byte, access *proto.Access) bool {
	if !bytes.HasSuffix(path, []byte(pageSuffix)) || !bytes.HasSuffix(name, []byte(pageSuffix)) {
		return false
	}
	base := name[bytes.LastIndexByte(name, '/')+1:]
	if string(base) == indexPage {
		return r.indexes() && bytes.HasSuffix(path, []byte("/"+indexPage))
	}
	if len(base) == len(pageSuffix) {
		return false
	}
	f, err := r.file(padded(string(name[:len(name)-len(pageSuffix)])), access)
	if err == nil {
		f.Close()
	}
	return err == errDirectory || err == unix.ENOENT
}

// indexes reports whether index.html is the first index file.
func (r *Root) indexes() bool { return len(r.policy.Index) > 0 && r.policy.Index[0] == indexPage }

// isIndexPath reports whether a path is that of index.html without .html. The clean path of
// that file is its directory's.
func (r *Root) isIndexPath(path, name []byte) bool {
	return r.indexes() && bytes.HasSuffix(path, []byte("/index")) && (string(name) == "index" || bytes.HasSuffix(name, []byte("/index")))
}
