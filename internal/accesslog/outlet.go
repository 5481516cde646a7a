package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"phalanx/internal/logging"
)

// outlet is the file that lines are written to.
type outlet struct {
	*logging.Outlet
	name string // quoted path, or standard output
	file bool   // a regular file, opened here: may be truncated
}

func openOutlet(path string, stdout *os.File) (*outlet, error) {
	switch path {
	case "":
		return &outlet{Outlet: logging.Discard(), name: "nothing"}, nil
	case "-":
		return openStdout(stdout)
	}
	return openPath(path)
}

// openPath opens a file by its path. It never blocks: without O_NONBLOCK, opening a
// FIFO would wait for a reader.
func openPath(path string) (*outlet, error) {
	const flags = unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	out, err := openOwn(path, unix.O_WRONLY|unix.O_CREAT|flags)
	if err == unix.ENXIO || err == nil && is(out, unix.S_IFIFO) {
		// Linux allows to open a FIFO for reading and writing (fifo(7)): it
		// then needs no reader now or later.
		if both, err2 := openOwn(path, unix.O_RDWR|flags); err2 == nil {
			if out != nil {
				out.Close()
			}
			out, err = both, nil
		}
	}
	switch {
	case err == unix.ENXIO:
		return nil, fmt.Errorf("open access log %q: a FIFO without a reader, or a socket: %w", path, err)
	case err != nil:
		return nil, badPath(path, err)
	}
	return &outlet{Outlet: out, name: strconv.Quote(path), file: is(out, unix.S_IFREG)}, nil
}

// badPath returns the error for a file that cannot be opened.
func badPath(path string, err error) error {
	if err == unix.ENOENT {
		return fmt.Errorf("open access log %q: directory %q: %w", path, filepath.Dir(path), err)
	}
	return fmt.Errorf("open access log %q: %w", path, err)
}

func openOwn(path string, flags int) (*logging.Outlet, error) {
	fd, err := openRetry(path, flags)
	if err != nil {
		return nil, err
	}
	return logging.NewOutlet(fd)
}

func is(o *logging.Outlet, mode uint32) bool { return o.Stat.Mode&unix.S_IFMT == mode }

// openStdout returns an outlet to an inherited file.
func openStdout(file *os.File) (*outlet, error) {
	if file == nil {
		return nil, errors.New("open access log: standard output is closed")
	}
	out, err := logging.ShareOutlet(file)
	if err != nil {
		return nil, fmt.Errorf("open access log on standard output: %w", err)
	}
	return &outlet{Outlet: out, name: "standard output"}, nil
}

// same reports whether two outlets are the same file.
func (o *outlet) same(p *outlet) bool { return o.Stat.Dev == p.Stat.Dev && o.Stat.Ino == p.Stat.Ino }

// beginLine writes a newline if a killed master left half a line at the end of a file.
// Without permission to read the file it does nothing. It must not be used on a file that
// is being written, which may end in half a line at any moment.
func (o *outlet) beginLine(path string) {
	if !o.file {
		return
	}
	fd, err := openRetry(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	var last [1]byte
	if unix.Fstat(fd, &st) != nil || st.Size == 0 || st.Dev != o.Stat.Dev || st.Ino != o.Stat.Ino {
		return
	}
	if n, err := unix.Pread(fd, last[:], st.Size-1); n == 1 && err == nil && last[0] != '\n' {
		o.Write([]byte{'\n'})
	}
}

// write writes lines as [logging.Outlet.Write] does. On an error such as a full disk it
// removes the half line at the end.
func (o *outlet) write(p []byte) (n int, err error) {
	n, err = o.Write(p)
	if err != nil && err != unix.EAGAIN {
		n -= o.truncate(p[:n])
	}
	return n, err
}

// truncate removes the half line that a full disk left at the end of a regular file,
// and returns its length. The master is the only writer; if the file is shorter by
// now, someone else has truncated it.
func (o *outlet) truncate(written []byte) int {
	half := len(written) - (bytes.LastIndexByte(written, '\n') + 1)
	if half == 0 || !o.file {
		return 0
	}
	var st unix.Stat_t
	if unix.Fstat(o.Fd(), &st) != nil || st.Size < int64(half) || unix.Ftruncate(o.Fd(), st.Size-int64(half)) != nil {
		return 0
	}
	return half
}
