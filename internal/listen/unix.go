package listen

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"phalanx/internal/unixsocket"
)

// This file handles unix sockets and their files.

// fileID identifies a file as long as it exists.
type fileID struct{ Dev, Ino uint64 }

// openUnix opens a unix socket. Its file has the mode from the start and replaces a stale one.
// removeFile removes it.
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

// identify returns the fileID of a path, without following symbolic links.
func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return fileID{st.Dev, st.Ino}, nil
}

// removeFile removes the file of a unix socket that this server has created, unless another
// server has replaced it. Then no client can connect any more; existing connections are
// served.
func (s *sockets) removeFile() error {
	if s.file == (fileID{}) {
		return nil
	}
	defer unixsocket.LockDirectory(s.Path)()
	now, err := identify(s.Path)
	own := err == nil && now == s.file
	if s.file = (fileID{}); !own {
		return nil
	}
	if err := unix.Unlink(s.Path); err != nil {
		return fmt.Errorf("remove %s: %w", s.Path, err)
	}
	return nil
}
