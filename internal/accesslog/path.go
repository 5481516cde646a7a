package accesslog

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// openRetry opens a file as open(2) does, but as root it follows no symbolic
// link that another user may have put there, see openGuarded.
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

// maxLinks is how many symbolic links a path may have (path_resolution(7)).
const maxLinks = 40

// openGuarded opens a file for root where other users may write: a log directory
// usually belongs to the user that rotates it, who could put a symbolic link to
// any file in the place of the log, or a second name of it, and have root create
// it or write there (CVE-2016-1247).
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
	dir  int      // open, in which rest begins
	path string   // of it, for errors
	rest []string // names, not empty
}

func startWalk(path string) (*walk, error) {
	w := &walk{dir: -1}
	return w, w.turn(path)
}

// turn continues the walk with a path, from the root directory if it is absolute.
func (w *walk) turn(path string) error {
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

// step opens the next name: the last one with these flags, another as a
// directory.
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
		if who := w.stranger(); who != "" {
			err = fmt.Errorf("the file has another name, and %s may write to directory %q", who, w.path)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// enter goes into the directory that the next name is.
func (w *walk) enter(fd int) {
	w.close()
	w.dir, w.path = fd, strings.TrimSuffix(w.path, "/")+"/"+w.rest[0]
	w.rest = w.rest[1:]
}

// follow follows the symbolic link that the next name is, or returns why the
// name could not be opened. One in /proc leads to an open file, which has perhaps
// no path: what it names is opened at once.
func (w *walk) follow(flags int, mode uint32, cause error) (int, error) {
	var target [unix.PathMax]byte
	n, err := unix.Readlinkat(w.dir, w.rest[0], target[:])
	if err != nil {
		return -1, cause // it is no link
	}
	var fs unix.Statfs_t
	if len(w.rest) == 1 && unix.Fstatfs(w.dir, &fs) == nil && fs.Type == unix.PROC_SUPER_MAGIC {
		return unix.Openat(w.dir, w.rest[0], flags, mode)
	}
	if who := w.stranger(); who != "" && !w.ownLink() {
		return -1, fmt.Errorf("%q is a symbolic link, and %s may write to directory %q", w.rest[0], who, w.path)
	}
	w.rest = w.rest[1:]
	return -1, w.turn(string(target[:n]))
}

// stranger names another user who may write to the directory; "" if there is none.
func (w *walk) stranger() string {
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

// ownLink reports whether the next name is a symbolic link of root's in a sticky
// directory, where nobody else can have put it (proc(5), protected_symlinks).
func (w *walk) ownLink() bool {
	var dir, link unix.Stat_t
	return unix.Fstat(w.dir, &dir) == nil && dir.Mode&unix.S_ISVTX != 0 && dir.Uid == 0 &&
		unix.Fstatat(w.dir, w.rest[0], &link, unix.AT_SYMLINK_NOFOLLOW) == nil && link.Uid == 0
}
