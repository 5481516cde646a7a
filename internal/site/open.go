package site

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Names are opened without blocking, so that a FIFO without a writer cannot
// hang a worker, and without becoming a controlling terminal.
const openFlags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// pathFlags are those to look at a name only: what may not be read can be.
const pathFlags = unix.O_PATH | unix.O_CLOEXEC

// open opens a name, relative to the root and without a NUL, for reading.
func (r *Root) open(name []byte) (fd int, err error) {
	if r.shares != nil {
		if r, name, err = r.within(name); err != nil {
			return -1, err
		}
	}
	if r.root != nil {
		return r.openRoot(name)
	}
	return r.openat2(name, openFlags)
}

// stat looks at what a name leads to, which takes permission to search the
// directories on the way and none to read what is there.
func (r *Root) stat(name []byte, st *unix.Stat_t) (err error) {
	if r.shares != nil {
		if r, name, err = r.within(name); err != nil {
			return err
		}
	}
	if r.root != nil {
		info, err := r.root.Stat(string(name))
		if err != nil {
			return bare(err)
		}
		sys := info.Sys().(*syscall.Stat_t)
		st.Mode, st.Size = sys.Mode, sys.Size
		st.Mtim = unix.Timespec(sys.Mtim)
		return nil
	}
	fd, err := r.openat2(name, pathFlags)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return fstat(fd, st)
}

// openat2 opens a name with one system call that never leaves the root,
// whatever symbolic links there are and whatever is renamed meanwhile
// (openat2(2), RESOLVE_BENEATH). It is called directly, for x/sys's wrapper
// copies the name.
func (r *Root) openat2(name []byte, flags uint64) (int, error) {
	name = append(name, 0) // within the capacity that the caller reserved
	how := unix.OpenHow{
		Flags:   flags,
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
		return -1, bare(err)
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

// bare returns the errno of os.Root's error, as openat2's are: callers compare
// with them. What has none is a path that escapes.
func bare(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		errno = unix.EXDEV
	}
	return errno
}

func fstat(fd int, st *unix.Stat_t) error {
	for {
		if err := unix.Fstat(fd, st); err != unix.EINTR {
			return err
		}
	}
}
