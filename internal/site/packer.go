package site

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// packer writes an archive. Owners and exact permissions are not disclosed, only whether a
// file is executable.
type packer interface {
	directory(name string, st *unix.Stat_t) error
	file(name string, st *unix.Stat_t, content io.Reader) error
	close() error
}

func newPacker(format string, to io.Writer) packer {
	switch format {
	case formatZip:
		return newZipPacker(to)
	case formatTar:
		return &tarPacker{out: tar.NewWriter(to), buf: make([]byte, copyMax)}
	}
	packed, _ := gzip.NewWriterLevel(to, gzip.BestSpeed) // the level is valid
	return &tarPacker{tar.NewWriter(packed), packed, make([]byte, copyMax)}
}

// copyMax is the number of bytes of a file that are read at once.
const copyMax = 64 << 10

// errShorter ends an archive: a file has fewer bytes than its header announced.
var errShorter = errors.New("a file became shorter while it was archived")

func modified(st *unix.Stat_t) time.Time { return time.Unix(st.Mtim.Sec, 0) }

func mode(st *unix.Stat_t) os.FileMode {
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return os.ModeDir | 0o755
	case st.Mode&0o111 != 0:
		return 0o755
	}
	return 0o644
}

// tarPacker writes a tar file, which may be compressed. Long names and large sizes are written
// as POSIX.1-2001 (pax) headers where needed.
type tarPacker struct {
	out    *tar.Writer
	packed io.Closer // nil: not compressed
	buf    []byte
}

func (p *tarPacker) directory(name string, st *unix.Stat_t) error {
	return p.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, ModTime: modified(st), Mode: int64(mode(st).Perm())})
}

func (p *tarPacker) file(name string, st *unix.Stat_t, content io.Reader) error {
	err := p.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size, ModTime: modified(st), Mode: int64(mode(st).Perm())})
	if err != nil {
		return err
	}
	// A file that has grown is cut at its announced size.
	n, err := io.CopyBuffer(p.out, io.LimitReader(content, st.Size), p.buf)
	if err == nil && n < st.Size {
		err = errShorter
	}
	return err
}

func (p *tarPacker) close() error {
	err := p.out.Close()
	if p.packed != nil {
		err = errors.Join(err, p.packed.Close())
	}
	return err
}

// zipPacker writes a zip file, with 64-bit fields (Zip64) where needed. The sizes of a file
// are written after it, because the compressed size is not known before.
type zipPacker struct {
	out *zip.Writer
	buf []byte
}

func newZipPacker(to io.Writer) zipPacker {
	p := zipPacker{zip.NewWriter(to), make([]byte, copyMax)}
	deflate, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	p.out.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) {
		deflate.Reset(to) // one file at a time
		return deflate, nil
	})
	return p
}

// zipTime is modified within the years that a zip file can have. Images of containers and
// reproducible builds have files of 1970.
func zipTime(st *unix.Stat_t) time.Time {
	t := modified(st)
	if first := time.Date(1980, 1, 1, 0, 0, 0, 0, t.Location()); t.Before(first) {
		return first
	}
	if last := time.Date(2107, 12, 31, 23, 59, 58, 0, t.Location()); t.After(last) {
		return last
	}
	return t
}

func (p zipPacker) directory(name string, st *unix.Stat_t) error {
	h := &zip.FileHeader{Name: name, Modified: zipTime(st)}
	h.SetMode(mode(st))
	_, err := p.out.CreateHeader(h)
	return err
}

func (p zipPacker) file(name string, st *unix.Stat_t, content io.Reader) error {
	h := &zip.FileHeader{Name: name, Modified: zipTime(st), Method: zip.Store}
	if typeOf([]byte(name)).compressible {
		h.Method = zip.Deflate
	}
	h.SetMode(mode(st))
	to, err := p.out.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(to, io.LimitReader(content, st.Size), p.buf)
	return err
}

func (p zipPacker) close() error { return p.out.Close() }
