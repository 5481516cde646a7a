package site

import (
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Fallback opens the fallback, for a navigation to a path without a file: the page of an
// application that handles paths in the browser. There is no fallback for a path that Open
// refuses, nor for one with the extension of a part of a page or of a download: a missing
// script must give 404.
//
// Browsers would cache the fallback under many paths, and each response changes when the
// application does or a file appears at the path. So the fallback must be revalidated each
// time, unless a rule for the file says otherwise.
func (r *Root) Fallback(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	if status := r.fallsBack(path); status != proto.StatusOK {
		return nil, status
	}
	return r.fallback(codings, access)
}

// fallsBack returns 200 if the path may have the fallback.
func (r *Root) fallsBack(path []byte) proto.Status {
	if r.policy.Fallback == "" {
		return proto.StatusNotFound
	}
	var space [unix.PathMax]byte
	name, status := r.clean(space[:0], path)
	if status == proto.StatusOK && isAsset(name) {
		r.found(FileAsset, name)
		return proto.StatusNotFound
	}
	return status
}

func (r *Root) fallback(codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	r.found(FileFallback, nil)
	var space [unix.PathMax]byte
	name := append(space[:0], r.policy.Fallback...)
	f, err := r.file(name, access)
	if err != nil {
		return nil, statusOf(err)
	}
	if f.describe(name, r.policy.Cache); f.cacheControl == "" {
		f.cacheControl = "no-cache"
	}
	if f.varies {
		f = r.coded(f, name, codings, access)
	}
	f.fallback = true
	r.digest(f)
	return f, proto.StatusOK
}

// isAsset reports whether, by its extension, a name is that of a part of a page, of data or of
// a download. Pages are not assets, nor is source code, which applications show under its
// name, nor are names with unknown extensions.
func isAsset(name []byte) bool {
	kind, _, _ := strings.Cut(typeOf(name).kind, ";")
	switch kind {
	case "text/html", "application/xhtml+xml", "text/markdown":
		return false
	case "text/plain":
		ext, _ := extension(name)
		return proto.EqualFold(ext, "txt")
	case binary:
		return false
	}
	return true
}
