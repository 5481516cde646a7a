package site

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Names are opened without blocking, so that a FIFO without a writer cannot
// hang a worker, and without becoming a controlling terminal.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// pathFlags open a name for stat only, which needs no permission to read the file.
const pathFlags = unix.O_PATH | unix.O_CLOEXEC

// open opens a name, relative to the root and without a NUL, for reading.
func (r *Root) open(name []byte) (fd int, err error) {
	if r.shares != nil {
		if r, name, err = r.within(name); err != nil {
			return -1, err
		}
	}
	if fd, err = r.beneath.open(name); err != unix.EXDEV {
		return fd, err
	}
	from, name, err := r.follow(name)
	if err != nil {
		return -1, err
	}
	return from.open(name)
}

// stat returns the metadata of a name, after links. It needs permission to search the
// directories in the name, and none to read the file.
func (r *Root) stat(name []byte, st *unix.Stat_t) (err error) {
	if r.shares != nil {
		if r, name, err = r.within(name); err != nil {
			return err
		}
	}
	if err = r.beneath.stat(name, st); err != unix.EXDEV {
		return err
	}
	from, name, err := r.follow(name)
	if err != nil {
		return err
	}
	return from.stat(name, st)
}

// beneath opens names beneath a directory, and nothing else.
type beneath struct {
	dir     int      // descriptor of the directory
	root    *os.Root // nil where the kernel has openat2
	resolve uint64   // flags of openat2(2)
}

// openBeneath opens a directory.
func openBeneath(dir string, links Symlinks) (b beneath, err error) {
	b.resolve = resolveFlags(links)
	if b.dir, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		err = b.prepare(dir)
	}
	return b, err
}

func resolveFlags(links Symlinks) uint64 {
	const all = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	if links == LinksNone {
		return all | unix.RESOLVE_NO_SYMLINKS
	}
	return all
}

// prepare finds out whether the kernel has openat2(2). On an error it closes b.
func (b *beneath) prepare(dir string) error {
	fd, err := b.openat2([]byte{'.', 0}[:1], pathFlags)
	switch {
	case err == nil:
		unix.Close(fd)
	case err == unix.ENOSYS, err == unix.EPERM:
		// Before Linux 5.6, or under a seccomp filter older than that.
		b.root, err = os.OpenRoot(dir)
	}
	if err != nil {
		b.close()
	}
	return err
}

func (b *beneath) close() {
	if b.root != nil {
		b.root.Close()
	}
	if b.dir >= 0 {
		unix.Close(b.dir)
	}
	b.dir = -1
}

// open opens a name for reading. The error is EXDEV if the name leads out of the directory or
// through an absolute link.
func (b *beneath) open(name []byte) (int, error) {
	switch {
	case b.root == nil:
		return b.openat2(name, openFlags)
	case b.linkless():
		return b.openEach(name, openFlags)
	}
	return b.openRoot(name)
}

// stat returns the metadata of a name, with the errors of open.
func (b *beneath) stat(name []byte, st *unix.Stat_t) error {
	var fd int
	var err error
	switch {
	case b.root == nil:
		fd, err = b.openat2(name, pathFlags)
	case b.linkless():
		fd, err = b.openEach(name, pathFlags)
	default:
		return b.statRoot(name, st)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return fstat(fd, st)
}

// linkless reports whether no symbolic link is followed.
func (b *beneath) linkless() bool { return b.resolve&unix.RESOLVE_NO_SYMLINKS != 0 }

// withoutLinks returns a copy of b that follows no symbolic links.
func (b *beneath) withoutLinks() beneath {
	return beneath{b.dir, b.root, b.resolve | unix.RESOLVE_NO_SYMLINKS}
}

// openat2 opens a name with one system call that never leaves the directory, even if links
// or names change meanwhile (openat2(2), RESOLVE_BENEATH). The system call is made directly,
// because the wrapper of x/sys copies the name.
func (b *beneath) openat2(name []byte, flags uint64) (int, error) {
	name = append(name, 0) // within the capacity that the caller reserved
	how := unix.OpenHow{Flags: flags, Resolve: b.resolve}
	// EAGAIN: a rename or mount raced with a ".." in a symbolic link and the
	// kernel could not tell whether it stayed beneath.
	const tries = 8
	for n := 0; ; n++ {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(b.dir), uintptr(unsafe.Pointer(&name[0])),
			uintptr(unsafe.Pointer(&how)), unix.SizeofOpenHow, 0, 0)
		switch {
		case errno == 0:
			return int(fd), nil
		case errno == unix.EINTR, errno == unix.EAGAIN && n < tries:
			continue
		}
		return -1, errno
	}
}

// openRoot opens a name with os.Root, which makes a system call for each element.
func (b *beneath) openRoot(name []byte) (int, error) {
	f, err := b.root.OpenFile(string(name), openFlags, 0)
	if err != nil {
		return -1, bare(err)
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func (b *beneath) statRoot(name []byte, st *unix.Stat_t) error {
	info, err := b.root.Stat(string(name))
	if err != nil {
		return bare(err)
	}
	sys := info.Sys().(*syscall.Stat_t)
	st.Dev, st.Ino, st.Mode, st.Size = sys.Dev, sys.Ino, sys.Mode, sys.Size
	st.Mtim = unix.Timespec(sys.Mtim)
	return nil
}

// openEach opens a name without openat2(2) and without following links: it opens one element
// after the other, none of which is "..".
func (b *beneath) openEach(name []byte, flags uint64) (int, error) {
	dir, rest := b.dir, string(name)
	for {
		element, after, more := strings.Cut(rest, "/")
		how := int(flags)
		if more {
			how = pathFlags | unix.O_DIRECTORY
		}
		if element == "" {
			element = "."
		}
		fd, err := unix.Openat(dir, element, how|unix.O_NOFOLLOW, 0)
		if err == unix.ENOTDIR && isLinkAt(dir, element) {
			err = unix.ELOOP
		}
		if dir != b.dir {
			unix.Close(dir)
		}
		if err != nil || !more {
			return fd, err
		}
		dir, rest = fd, after
	}
}

// bare returns the errno in an error of os.Root, since callers compare with those of
// openat2(2). An error without an errno means that the name escapes: EXDEV.
func bare(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.EXDEV
}

func isLinkAt(dir int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// openat opens a regular file by its name in a directory, without following a link; name ends
// with a NUL. The system call is made directly, because the wrapper of x/sys copies the name.
func openat(dir int, name []byte) (int, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), openFlags|unix.O_NOFOLLOW, 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
			continue
		}
		return -1, errno
	}
}

func fstat(fd int, st *unix.Stat_t) error {
	for {
		if err := unix.Fstat(fd, st); err != unix.EINTR {
			return err
		}
	}
}
