package compress

import (
	"context"
	"crypto/sha256"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// AddDigest adds the SHA-256 digest of a file, see [site.Digests], unless it exists, and
// reports whether it is new. copied means that the file is one of this store's copies. The
// error is [ErrNotWorth] if the file could change unnoticed, or has been removed.
func (s *Store) AddDigest(ctx context.Context, file *os.File, copied bool) (made bool, err error) {
	_, made, err = s.add(file, product{
		suits: func(st *unix.Stat_t) bool { return site.Digestible(st, copied, s.now()) },
		name:  func(st *unix.Stat_t) string { return site.DigestName(st, copied) },
		size:  int64(len(proto.Digest{})),
		write: func(to *os.File, size int64) (int64, error) {
			sum, err := digest(ctx, file, size)
			if err == nil {
				_, err = to.Write(sum[:])
			}
			return int64(len(sum)), err
		},
	})
	return made, err
}

// digest returns the digest of a file, which must have size bytes.
func digest(ctx context.Context, file *os.File, size int64) (sum proto.Digest, err error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, &interruptible{ctx, io.NewSectionReader(file, 0, size)}, make([]byte, 256<<10))
	if err == nil && n != size {
		err = ErrChanged
	}
	return proto.Digest(h.Sum(nil)), err
}
