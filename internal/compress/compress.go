// Package compress makes compressed copies of files in the content codings of HTTP: sidecars
// for a whole directory ([Tree]), and copies in a cache directory for a server ([Store]).
//
// Each copy is decoded and compared with its file before it is kept: a damaged copy would be
// sent to clients until its file changes.
package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"phalanx/internal/proto"
)

// Most returns the maximum size of a compressed copy of size bytes: a copy that saves less
// than 5 percent is not worth its space.
func Most(size int64) int64 { return size - (size+19)/20 }

// Level is how much time compression may take.
type Level int

// The levels. Best takes about ten times as long as Fast, and saves another tenth or more.
const (
	Best Level = iota
	Fast
)

var (
	// ErrNotWorth means that no copy was made because it would be hardly smaller.
	ErrNotWorth = errors.New("compresses by less than 5 percent")
	// ErrChanged means that no copy was made because the file was changed meanwhile.
	ErrChanged = errors.New("changed while it was compressed")
	// ErrDamaged means that no copy was made because it did not decode to the file.
	ErrDamaged = errors.New("compressed copy differs from the file when it is decoded")
)

// compress writes a compressed copy of a file of size bytes, and returns the size of the copy. It
// stops when the context ends. The error is one of the above, the context's, or one of
// reading and writing.
func compress(ctx context.Context, to *os.File, from io.ReaderAt, size int64, coding proto.Coding, level Level) (int64, error) {
	out := &bounded{to: to, left: Most(size)}
	plain := func() io.Reader { return &interruptible{ctx, io.NewSectionReader(from, 0, size)} }
	if err := encode(out, plain(), size, coding, level); err != nil {
		return 0, err
	}
	if err := verify(io.NewSectionReader(to, 0, out.n), plain(), coding); err != nil {
		return 0, err
	}
	return out.n, nil
}

// encode compresses a file, which must have size bytes.
func encode(to io.Writer, from io.Reader, size int64, coding proto.Coding, level Level) error {
	w, err := encoder(to, size, coding, level)
	if err != nil {
		return err
	}
	read, err := io.Copy(w, from)
	closing := w.Close()
	switch {
	case err != nil:
		return err
	case read != size:
		return ErrChanged
	}
	return closing
}

// maxWindow is the largest window that zstd decoders must support (RFC 9659 §3). Browsers
// refuse larger ones.
const maxWindow = 8 << 20

func encoder(to io.Writer, size int64, coding proto.Coding, level Level) (io.WriteCloser, error) {
	switch coding {
	case proto.Brotli:
		o := brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: min(max(bits.Len64(uint64(size)), 16), 22)} // no larger than the file needs
		if level == Fast {
			o.Quality = 5
		}
		return brotli.NewWriterOptions(to, o), nil
	case proto.Zstd:
		speed := zstd.SpeedBestCompression
		if level == Fast {
			speed = zstd.SpeedDefault
		}
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithWindowSize(maxWindow), zstd.WithEncoderConcurrency(1))
		if err == nil {
			w.ResetContentSize(to, size) // a small file has a small window
		}
		return w, err
	case proto.Gzip:
		effort := gzip.BestCompression
		if level == Fast {
			effort = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(to, effort) // without name and time: equal files have equal copies
	}
	return nil, fmt.Errorf("content coding %d is not supported", coding)
}

// verify decodes a copy, and compares it with the file.
func verify(coded, plain io.Reader, coding proto.Coding) error {
	decoded, err := decoder(coded, coding)
	if err != nil {
		return ErrDamaged
	}
	defer decoded.Close()
	a, b := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := io.ReadFull(plain, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		m, _ := io.ReadFull(decoded, b[:n])
		if m != n || !bytes.Equal(a[:n], b[:n]) {
			return ErrDamaged // or the file has changed
		}
		if err == nil {
			continue
		}
		if _, err := io.ReadFull(decoded, b[:1]); err != io.EOF {
			return ErrDamaged
		}
		return nil
	}
}

func decoder(from io.Reader, coding proto.Coding) (io.ReadCloser, error) {
	switch coding {
	case proto.Brotli:
		return io.NopCloser(brotli.NewReader(from)), nil
	case proto.Zstd:
		d, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return gzip.NewReader(from)
}

// bounded is a writer that fails with [ErrNotWorth] beyond the maximum size of a copy.
type bounded struct {
	to      io.Writer
	n, left int64
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, ErrNotWorth
	}
	n, err := b.to.Write(p)
	b.n += int64(n)
	return n, err
}

// interruptible is a reader that fails once the context has ended.
type interruptible struct {
	ctx  context.Context
	from io.Reader
}

// Read implements [io.Reader].
func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
