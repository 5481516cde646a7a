package compress

import (
	"context"
	"crypto/sha256"
	"errors"
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
	var st, there, now unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return false, err
	}
	if !site.Digestible(&st, copied, s.now()) || st.Nlink == 0 {
		return false, ErrNotWorth
	}
	name := site.DigestName(&st, copied)
	if unix.Fstatat(s.dir, name, &there, unix.AT_SYMLINK_NOFOLLOW) == nil && there.Size == int64(len(proto.Digest{})) {
		s.use(name)
		return false, nil
	}
	sum, err := digest(ctx, file, st.Size)
	if err != nil {
		return false, err
	}
	if err := unix.Fstat(int(file.Fd()), &now); err != nil {
		return false, err
	}
	if site.DigestName(&now, copied) != name {
		return false, ErrChanged
	}
	if err := s.writeDigest(name, sum); err != nil {
		return false, err
	}
	return true, s.keep(minKept)
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

func (s *Store) writeDigest(name string, sum proto.Digest) error {
	to, temp, err := s.begin(name)
	if err != nil {
		return err
	}
	_, err = to.Write(sum[:])
	return settle(s.dir, temp, name, errors.Join(err, to.Close()))
}
