package listen

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"phalanx/internal/unixsocket"
)

// This file handles unix sockets, which have a file.

// fileID tells a file from any other, as long as it exists.
type fileID struct{ Dev, Ino uint64 }

// openUnix opens a unix socket. Its file has the mode from the beginning, replaces a
// stale one, and is removed by removeFile.
func (s *sockets) openUnix() error {
	s.network = "unix"
	defer unixsocket.LockDirectory(s.Path)()
	l, err := unixsocket.Listen(s.Path, s.Mode)
	if err != nil {
		return err
	}
	if s.file, err = identify(s.Path); err != nil {
		return errors.Join(err, l.Close())
	}
	return s.add(l)
}

// identify returns which file a path names.
func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return fileID{st.Dev, st.Ino}, nil
}

// removeFile removes the file of a unix socket that this server has made, unless another
// server has replaced it. Nobody can connect from then on, while those who have are
// served.
func (s *sockets) removeFile() error {
	if s.file == (fileID{}) {
		return nil
	}
	defer unixsocket.LockDirectory(s.Path)()
	now, err := identify(s.Path)
	if err != nil || now != s.file {
		s.file = fileID{}
		return nil
	}
	s.file = fileID{}
	if err := unix.Unlink(s.Path); err != nil {
		return fmt.Errorf("remove %s: %w", s.Path, err)
	}
	return nil
}
