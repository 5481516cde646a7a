// Package unixsocket looks after the files of listening unix sockets: a stale one, left
// behind by a killed server, is removed, and never one that belongs to somebody else.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Why a path cannot be used.
var (
	ErrInUse    = errors.New("address in use")
	ErrNoSocket = errors.New("not a socket")
)

// RemoveStale removes the file of a socket without a listener, which a killed
// server leaves behind. It returns ErrInUse if there is a listener and ErrNoSocket
// for any other kind of file, and removes neither.
func RemoveStale(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	switch {
	case err == unix.ENOENT && exists(filepath.Dir(path)):
		return nil
	case err != nil:
		return fmt.Errorf("stat %s: %w", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return ErrNoSocket
	}
	switch err := probe(path); err {
	case unix.ECONNREFUSED:
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		return nil
	case unix.ENOENT:
		return nil
	case nil, unix.EAGAIN, unix.EPROTOTYPE: // connected, a full queue, a socket of another type
		return ErrInUse
	default:
		return fmt.Errorf("connect to %s: %w", path, err)
	}
}

// Check reports why no process can listen at a path: its directory is missing, or another file is
// there. It is no error if a process listens there already, or if this user may not.
func Check(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return ErrNoSocket
	}
	return nil
}

// Listen listens at a path. The socket's file has the mode from the beginning, and replaces a stale
// one. The caller holds the lock of [LockDirectory], and removes the file in the end.
func Listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if err := RemoveStale(path); err != nil {
		return nil, err
	}
	// bind(2) gives the file the socket's own mode, less the umask. A later chmod could hit
	// another file that somebody has put there.
	defer unix.Umask(unix.Umask(0))
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(controlErr, err)
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // it would remove any file of that name
	return u, nil
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// probe connects without waiting, and closes the connection.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// LockDirectory keeps two servers that start at the same time from taking each
// other's socket, between bind(2) and listen(2), for a stale one. It locks the
// directory, so no lock file stays behind. Without permission to open the
// directory, or if another program holds its lock for a second, it continues
// without the lock.
func LockDirectory(path string) (unlock func()) {
	const attempts, pause = 20, 50 * time.Millisecond
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return func() {}
	}
	for range attempts {
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
			break
		}
		time.Sleep(pause)
	}
	return func() { dir.Close() } // which unlocks it
}
