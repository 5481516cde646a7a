package admin

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// vacate removes the file of a socket on which nobody listens, as a server
// leaves it that was killed. Where somebody listens it returns errInUse, and
// errNoSocket for any other kind of file; it leaves both alone.
func vacate(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	switch {
	case err == unix.ENOENT && exists(filepath.Dir(path)):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errNoSocket
	}
	switch err := probe(path); err {
	case unix.ECONNREFUSED:
		if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		return nil
	case unix.ENOENT:
		return nil
	case nil, unix.EAGAIN, unix.EPROTOTYPE: // a full queue, a socket of another type: there is somebody
		return errInUse
	default:
		return fmt.Errorf("connect to %s: %w", path, err)
	}
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// probe connects, does not wait, and hangs up.
func probe(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
}

// lockDirectory keeps two servers that start at once from each taking the
// other's new socket, between its bind(2) and listen(2), for one that was left
// behind. The lock is on the directory, so that nothing of it stays. Others
// lock directories for their own reasons: then it goes on without after a
// second, as it does where it may not open the directory.
func lockDirectory(path string) (unlock func()) {
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
