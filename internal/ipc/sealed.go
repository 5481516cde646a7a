package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Data that is too large for a message is passed in a memfd, whose descriptor comes with the
// message. The file is sealed, so the receiver can rely on its content.

const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Sealed returns a new sealed memfd with the content p, close-on-exec. name appears in /proc
// only.
func Sealed(name string, p []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	_, err = file.WriteAt(p, 0)
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fill file in memory: %w", err), file.Close())
	}
	return file, nil
}

// ReadSealed returns the content of a sealed memfd of at most most bytes. It does not close
// fd, nor move the file's offset, which other processes share.
func ReadSealed(fd int, most int64) ([]byte, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		return nil, errors.New("read file in memory: it is not sealed")
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, fmt.Errorf("read file in memory: %w", err)
	}
	if stat.Size > most {
		return nil, fmt.Errorf("read file in memory: it has %d bytes, more than %d", stat.Size, most)
	}
	p := make([]byte, stat.Size)
	n, err := unix.Pread(fd, p, 0) // not interrupted: nothing in memory is waited for
	if err == nil && n < len(p) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("read file in memory: %w", err)
	}
	return p, nil
}
