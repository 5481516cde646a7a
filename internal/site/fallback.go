package site

import (
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
)

// Fallback opens the file that answers a navigation to a path for which Open
// found nothing: the one page of an application whose routes are made in the
// browser. A path that Open refuses has none, nor has one with the extension of
// a part of a page or of a download: a script that is missing is missing.
//
// What the file answers changes when a file appears at the path, or when the
// application does, and browsers would keep it under many paths. So it is to be
// asked for again each time, unless a rule for the file says otherwise.
func (r *Root) Fallback(path []byte, codings proto.Codings, access *proto.Access) (*File, proto.Status) {
	if status := r.fallsBack(path); status != proto.StatusOK {
		return nil, status
	}
	return r.fallback(codings, access)
}

// fallsBack returns 200 if the path may be answered by the fallback.
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

// isAsset reports whether a name is one of a part of a page, of data or of a
// download by its extension. Pages are not, nor is source code, which
// applications show under its name, nor an extension that is not known.
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
