package site

import (
	"strings"

	"phalanx/internal/proto"
)

// maxArchives is the maximum number of archives made at a time: each takes memory and
// CPU time for as long as its client takes to read it.
const maxArchives = 4

// The formats of an archive, by the end of its name.
const (
	formatZip   = "zip"
	formatTar   = "tar"
	formatTarGz = "tar.gz"
)

// archiveTypes has the media types of the archive formats.
var archiveTypes = map[string]string{formatZip: "application/zip", formatTar: "application/x-tar", formatTarGz: "application/gzip"}

// ArchiveFormat returns the format of the archive that a query, with its "?", requests:
// "zip", "tar" or "tar.gz"; "" if it requests no archive, or another format.
func ArchiveFormat(query []byte) string {
	for pair := range strings.SplitSeq(strings.TrimPrefix(string(query), "?"), "&") {
		if format, ok := strings.CutPrefix(pair, "archive="); ok && archiveTypes[format] != "" {
			return format
		}
	}
	return ""
}

// Archive is an archive of everything in a directory that is served, made while it is
// sent. A goroutine walks the directory, at most a few buffers ahead of the connection. It
// implements conn.Stream.
type Archive struct {
	root   *Root
	format string
	name   string // of the archive: the last element of dir
	dir    string // clean name of the directory, with a trailing slash; "": the root
	spool  *spool
	access proto.Access // files that need more are left out
	begun  bool
	closed bool
}

// Archive returns an archive of a directory, whose path ends with a slash or with "/.",
// in a format of [ArchiveFormat].
func (r *Root) Archive(path []byte, format string, access *proto.Access) (*Archive, proto.Status) {
	dir, d, status := r.openListable(path, r.policy.Archive, access)
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

// FileName returns the name under which the archive is to be saved.
func (a *Archive) FileName() string { return a.name + "." + a.format }

// ETag returns nil: the content is not known before the archive has been made.
func (a *Archive) ETag() []byte { return nil }

// Prepare does nothing.
func (a *Archive) Prepare() (ready bool, s proto.Status) { return true, proto.StatusOK }

// Append appends what has been made, which may be nothing. After an error, the archive
// cannot be completed.
func (a *Archive) Append(dst []byte) (_ []byte, done bool, err error) {
	a.begin()
	return a.spool.append(dst)
}

// Await arranges that wake is called, from any goroutine, once there is more to append. It
// returns false if there is already.
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
