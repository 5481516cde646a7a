package unixsocket

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// Explain says why a server cannot listen at a path and what to do, after the flag that names
// the path, as an [*exitcode.Error].
func Explain(flag, path string, err error) error {
	dir := human.Quoted(filepath.Dir(path))
	switch {
	case errors.Is(err, ErrInUse), errors.Is(err, unix.EADDRINUSE):
		return exitcode.New(exitcode.Failure, flag+": already in use by another server; stop it or choose another path", err)
	case errors.Is(err, ErrNoSocket):
		return exitcode.New(exitcode.Config, flag+": the file exists and is not a socket; remove it or choose another path", err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return exitcode.New(exitcode.Config, flag+": directory "+dir+" does not exist; create it or choose another path", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return exitcode.New(exitcode.Config, flag+": "+human.Cause(err).Error()+"; check the permissions of "+dir+", or choose another path", err)
	}
	return exitcode.New(exitcode.Failure, flag+": "+err.Error(), err)
}
