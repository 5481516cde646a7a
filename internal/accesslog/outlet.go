package accesslog

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// outlet is where lines are written.
type outlet struct {
	name string // quoted path, or standard output
	fd   int
	kind outletKind
	fifo bool
	path bool // opened here: may be truncated, must be closed
	file *os.File
	dev  uint64
	ino  uint64
}

type outletKind uint8

const (
	toFile    outletKind = iota // a regular file: never waits for a reader
	toStream                    // a pipe or a device, opened not to block
	toSocket                    // takes MSG_DONTWAIT
	toOther                     // somebody else's pipe: RWF_NOWAIT
	toOldest                    // asked with poll(2), for a kernel without that
	toNothing                   // takes everything and keeps nothing
)

// discard is /dev/null, which not every root directory has.
func discard() *outlet { return &outlet{name: "nothing", fd: -1, kind: toNothing} }

// openPath opens a file by its path. It never blocks: without O_NONBLOCK, opening a
// FIFO would wait for a reader.
func openPath(path string) (*outlet, error) {
	const flags = unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openRetry(path, unix.O_WRONLY|unix.O_CREAT|flags)
	if err != nil && err != unix.ENXIO {
		return nil, fmt.Errorf("open access log %q: %w", path, err)
	}
	o := &outlet{name: strconv.Quote(path), fd: fd, path: true}
	if err == nil {
		err = o.look()
	}
	if err == unix.ENXIO || err == nil && o.fifo {
		// Opened for reading too, which Linux allows (fifo(7)), a FIFO
		// needs no reader now or later.
		if both, err2 := openRetry(path, unix.O_RDWR|flags); err2 == nil {
			if o.fd >= 0 {
				unix.Close(o.fd)
			}
			o.fd = both
			err = o.look()
		}
	}
	switch {
	case err == nil:
		return o, nil
	case o.fd >= 0:
		unix.Close(o.fd)
	}
	if err == unix.ENXIO {
		return nil, fmt.Errorf("open access log %q: a FIFO without a reader, or a socket: %w", path, err)
	}
	return nil, fmt.Errorf("open access log %q: %w", path, err)
}

// look determines the kind of file behind the descriptor.
func (o *outlet) look() error {
	var st unix.Stat_t
	if err := unix.Fstat(o.fd, &st); err != nil {
		return err
	}
	o.dev, o.ino = st.Dev, st.Ino
	o.fifo = st.Mode&unix.S_IFMT == unix.S_IFIFO
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		o.kind = toFile
	case unix.S_IFSOCK:
		o.kind = toSocket
	default:
		o.kind = toStream
	}
	return nil
}

// beginLine completes the last line of a file with a newline if a killed master left
// half of one. Without permission to read the file it does nothing. It must not be
// used on a file being written, which may end in half a line at any moment.
func (o *outlet) beginLine(path string) {
	if o.kind != toFile || !o.path {
		return
	}
	fd, err := openRetry(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	var last [1]byte
	if unix.Fstat(fd, &st) != nil || st.Size == 0 || st.Dev != o.dev || st.Ino != o.ino {
		return
	}
	if n, err := unix.Pread(fd, last[:], st.Size-1); n == 1 && err == nil && last[0] != '\n' {
		unix.Write(o.fd, []byte{'\n'})
	}
}

// openStdout uses an inherited file. Making its descriptor non-blocking would affect
// everyone who shares it, so a pipe or a terminal is opened again; where that is not
// permitted, it falls back to RWF_NOWAIT or poll(2).
func openStdout(file *os.File) (*outlet, error) {
	o := &outlet{name: "standard output", fd: -1, file: file}
	if file == nil {
		return nil, errors.New("open access log: standard output is closed")
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { o.fd = int(fd) })
	}
	if err == nil {
		err = o.look()
	}
	if err != nil {
		return nil, fmt.Errorf("open access log on standard output: %w", err)
	}
	if o.kind == toStream {
		again, err := openRetry("/proc/self/fd/"+strconv.Itoa(o.fd),
			unix.O_WRONLY|unix.O_APPEND|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
		if err != nil {
			o.kind = toOther
			return o, nil
		}
		o.fd, o.file = again, nil
	}
	return o, nil
}

// same reports whether two outlets lead to the same place.
func (o *outlet) same(p *outlet) bool { return o.dev == p.dev && o.ino == p.ino }

func (o *outlet) close() {
	if o.file == nil && o.fd >= 0 {
		unix.Close(o.fd)
	}
}
