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

// packer writes an archive. Owners and exact permissions stay here: only whether a
// file can be executed goes out.
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

// copyMax is how many bytes of a file are read at once.
const copyMax = 64 << 10

// errShorter is why an archive ends early: what was announced of a file is not there.
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

// tarPacker writes a tar, perhaps compressed. Long names and sizes are in the form of
// POSIX.1-2001 (pax), where they need it.
type tarPacker struct {
	out    *tar.Writer
	packed io.Closer // nil: it is not compressed
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
	// A file that has grown ends where its size was.
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

// zipPacker writes a zip, with the fields of 64 bits where they are needed. Sizes come
// behind each file, because they are not known before.
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

func (p zipPacker) directory(name string, st *unix.Stat_t) error {
	h := &zip.FileHeader{Name: name, Modified: modified(st)}
	h.SetMode(mode(st))
	_, err := p.out.CreateHeader(h)
	return err
}

func (p zipPacker) file(name string, st *unix.Stat_t, content io.Reader) error {
	h := &zip.FileHeader{Name: name, Modified: modified(st), Method: zip.Store}
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
