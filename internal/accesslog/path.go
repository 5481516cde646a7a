package accesslog

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// openRetry opens a file as open(2) does, except that root does not follow symbolic links
// that another user may have created, see openGuarded.
func openRetry(path string, flags int) (int, error) {
	open := unix.Open
	if unix.Geteuid() == 0 {
		open = openGuarded
	}
	for {
		fd, err := open(path, flags, 0o640)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// maxLinks is the maximum number of symbolic links in a path (path_resolution(7)).
const maxLinks = 40

// openGuarded opens a file for root in a directory where other users may write. A log
// directory often belongs to the user that rotates the logs. That user could replace the
// log by a symbolic or hard link to any file and have root create it or write to it
// (CVE-2016-1247).
func openGuarded(path string, flags int, mode uint32) (int, error) {
	w, err := startWalk(path)
	if err != nil {
		return -1, err
	}
	defer w.close()
	for links := 0; ; {
		last := len(w.rest) == 1
		fd, err := w.step(flags, mode)
		switch {
		case err == nil && last:
			return fd, nil
		case err == nil:
			w.enter(fd)
			continue
		case err != unix.ELOOP && err != unix.ENOTDIR:
			return -1, err
		}
		if links++; links > maxLinks {
			return -1, unix.ELOOP
		}
		if fd, err = w.follow(flags, mode, err); err != nil || fd >= 0 {
			return fd, err
		}
	}
}

// walk resolves a path name by name, so that a symbolic link is seen before it is
// followed, together with the directory that it is in.
type walk struct {
	dir  int      // open directory in which rest begins
	path string   // of dir, for errors
	rest []string // names that are left, at least one
}

func startWalk(path string) (*walk, error) {
	w := &walk{dir: -1}
	return w, w.prepend(path)
}

// prepend inserts the names of a path in front of rest. If the path is absolute, the walk
// continues in the root directory.
func (w *walk) prepend(path string) error {
	names := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	if path == "" {
		return unix.ENOENT
	}
	if strings.HasSuffix(path, "/") || len(names) == 0 {
		names = append(names, ".")
	}
	w.rest = append(names, w.rest...)
	start := "."
	if path[0] == '/' {
		start = "/"
	} else if w.dir >= 0 {
		return nil
	}
	fd, err := unix.Open(start, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		w.close()
		w.dir, w.path = fd, start
	}
	return err
}

func (w *walk) close() {
	if w.dir >= 0 {
		unix.Close(w.dir)
	}
}

// step opens the next name: the last one with flags, any other as a directory.
func (w *walk) step(flags int, mode uint32) (int, error) {
	if len(w.rest) > 1 {
		return unix.Openat(w.dir, w.rest[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	fd, err := unix.Openat(w.dir, w.rest[0], flags|unix.O_NOFOLLOW, mode)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1 {
		if who := w.otherWriter(); who != "" {
			err = fmt.Errorf("the file has more than one hard link, and %s may write to directory %q", who, w.path)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// enter makes fd, the directory of the next name, the current one.
func (w *walk) enter(fd int) {
	w.close()
	w.dir, w.path = fd, strings.TrimSuffix(w.path, "/")+"/"+w.rest[0]
	w.rest = w.rest[1:]
}

// follow follows the next name if it is a symbolic link; otherwise it returns cause. The
// target of a link in /proc is an open file, which may have no path: it is opened here, and
// its descriptor is returned.
func (w *walk) follow(flags int, mode uint32, cause error) (int, error) {
	var target [unix.PathMax]byte
	n, err := unix.Readlinkat(w.dir, w.rest[0], target[:])
	if err != nil {
		return -1, cause // not a link
	}
	var fs unix.Statfs_t
	if len(w.rest) == 1 && unix.Fstatfs(w.dir, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC {
		return unix.Openat(w.dir, w.rest[0], flags, mode)
	}
	if who := w.otherWriter(); who != "" && !w.ownLink() {
		return -1, fmt.Errorf("%q is a symbolic link, and %s may write to directory %q", w.rest[0], who, w.path)
	}
	w.rest = w.rest[1:]
	return -1, w.prepend(string(target[:n]))
}

// otherWriter names another user who may write to the directory; "" if there is none.
func (w *walk) otherWriter() string {
	var st unix.Stat_t
	switch err := unix.Fstat(w.dir, &st); {
	case err != nil:
		return "perhaps another user"
	case st.Uid != 0:
		return fmt.Sprintf("user %d", st.Uid)
	case st.Mode&0o002 != 0:
		return "every user"
	case st.Mode&0o020 != 0:
		return fmt.Sprintf("group %d", st.Gid)
	}
	return ""
}

// ownLink reports whether the next name is a symbolic link owned by root in a sticky
// directory, which only root can have created (proc(5), protected_symlinks).
func (w *walk) ownLink() bool {
	var dir, link unix.Stat_t
	return unix.Fstat(w.dir, &dir) == nil && dir.Mode&unix.S_ISVTX != 0 && dir.Uid == 0 &&
		unix.Fstatat(w.dir, w.rest[0], &link, unix.AT_SYMLINK_NOFOLLOW) == nil && link.Uid == 0
}
