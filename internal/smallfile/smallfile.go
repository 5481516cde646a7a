// Package smallfile reads the small files of operators: certificates, keys, passwords and tokens.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

// Read reads a regular file of at most most bytes, and returns its permissions. The error does not
// name the file.
func Read(path string, most int) (text []byte, mode fs.FileMode, err error) {
	// Without O_NONBLOCK, opening a FIFO would wait for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, human.Cause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, human.Cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	if text, err = io.ReadAll(io.LimitReader(file, int64(most)+1)); err != nil {
		return nil, 0, human.Cause(err)
	}
	if len(text) > most {
		return nil, 0, fmt.Errorf("larger than %d bytes", most)
	}
	return text, info.Mode().Perm(), nil
}
