package site

import (
	"strings"

	"phalanx/internal/proto"
)

// maxArchives is how many archives are made at a time: each takes memory and
// CPU time, and clients decide how long.
const maxArchives = 4

// The formats of an archive, by the end of its name.
const (
	formatZip   = "zip"
	formatTar   = "tar"
	formatTarGz = "tar.gz"
)

// archiveTypes has the media types of the archive formats.
var archiveTypes = map[string]string{formatZip: "application/zip", formatTar: "application/x-tar", formatTarGz: "application/gzip"}

// ArchiveFormat returns the format of an archive that a query asks for, with its "?":
// "zip", "tar" or "tar.gz"; empty if it asks for no archive, or for another format.
func ArchiveFormat(query []byte) string {
	for pair := range strings.SplitSeq(strings.TrimPrefix(string(query), "?"), "&") {
		if format, ok := strings.CutPrefix(pair, "archive="); ok && archiveTypes[format] != "" {
			return format
		}
	}
	return ""
}

// Archive is a directory with all that is served of it, as a file that is made while
// it is sent. A goroutine beside the connection walks the directory; it is never more
// than a few buffers ahead. It implements what a connection sends as a stream.
type Archive struct {
	root   *Root
	format string
	name   string // the directory's own
	dir    string // its clean name, with a slash at its end; empty: the root
	spool  *spool
	access proto.Access // nothing that needs more is in it
	begun  bool
	closed bool
}

// Archive begins an archive of a directory, whose path ends with a slash or with "/.",
// in a format of [ArchiveFormat].
func (r *Root) Archive(path []byte, format string, access *proto.Access) (*Archive, proto.Status) {
	dir, d, status := r.whole(path, r.policy.Archive, access)
	if status != proto.StatusOK {
		return nil, status
	}
	if d != nil {
		d.Close()
	}
	if r.archives.Add(1) > maxArchives {
		r.archives.Add(-1)
		return nil, proto.StatusServiceUnavailable
	}
	a := &Archive{root: r, format: format, dir: dir, name: r.policy.Name, spool: newSpool(), access: *access}
	if parts := strings.Split(strings.TrimSuffix(dir, "/"), "/"); dir != "" {
		a.name = parts[len(parts)-1]
	}
	if a.name == "" {
		a.name = "files"
	}
	return a, proto.StatusOK
}

// ContentType returns the media type of the format.
func (a *Archive) ContentType() string { return archiveTypes[a.format] }

// FileName is the name under which the archive is to be saved.
func (a *Archive) FileName() string { return a.name + "." + a.format }

// ETag returns nil: what will be in the archive is known only when it has been made.
func (a *Archive) ETag() []byte { return nil }

// Prepare has nothing to do.
func (a *Archive) Prepare() (ready bool, s proto.Status) { return true, proto.StatusOK }

// Append appends what has been made, perhaps nothing. An error means that the rest
// cannot be made.
func (a *Archive) Append(dst []byte) (_ []byte, done bool, err error) {
	a.begin()
	return a.spool.append(dst)
}

// Await calls wake once there is more to append, from any goroutine; it returns false
// if there is already.
func (a *Archive) Await(wake func()) bool {
	a.begin()
	return a.spool.await(wake)
}

// begin starts the goroutine that makes the archive, which [Root.Close] joins.
func (a *Archive) begin() {
	if a.begun {
		return
	}
	a.begun = true
	a.root.making.Go(func() {
		defer a.root.archives.Add(-1)
		a.spool.end(a.pack())
	})
}

// Close ends the archive, whether or not it is complete. It does not wait for the
// goroutine.
func (a *Archive) Close() {
	switch {
	case a.closed:
	case a.begun:
		a.spool.close()
	default:
		a.root.archives.Add(-1)
	}
	a.closed = true
}
