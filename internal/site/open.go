package site

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Names are opened without blocking, so that a FIFO without a writer cannot
// hang a worker, and without becoming a controlling terminal.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// open opens a name, relative to the root and without a NUL, for reading.
func (r *Root) open(name []byte) (fd int, err error) {
	if r.root != nil {
		return r.openRoot(name)
	}
	return r.openat2(name)
}

// openat2 opens a name with one system call that never leaves the root,
// whatever symbolic links there are and whatever is renamed meanwhile
// (openat2(2), RESOLVE_BENEATH). It is called directly, for x/sys's wrapper
// copies the name.
func (r *Root) openat2(name []byte) (int, error) {
	name = append(name, 0) // within the capacity that the caller reserved
	how := unix.OpenHow{
		Flags:   openFlags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	// EAGAIN: a rename or mount raced with a ".." in a symbolic link and the
	// kernel could not tell whether it stayed beneath.
	const tries = 8
	for n := 0; ; n++ {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(r.dir), uintptr(unsafe.Pointer(&name[0])),
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

// openRoot does the same with os.Root, one system call for each element.
func (r *Root) openRoot(name []byte) (int, error) {
	f, err := r.root.OpenFile(string(name), openFlags, 0)
	if err != nil {
		// The same bare errnos as openat2's: callers compare with them.
		// What has none is a path that escapes.
		var errno unix.Errno
		if !errors.As(err, &errno) {
			errno = unix.EXDEV
		}
		return -1, errno
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func fstat(fd int, st *unix.Stat_t) error {
	for {
		if err := unix.Fstat(fd, st); err != unix.EINTR {
			return err
		}
	}
}
