package options

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// CheckBase returns the absolute path of the document root, or an [*exitcode.Error] if it does
// not exist, is not a directory or is not readable. The master calls it before it starts
// workers, so that they need not report the error.
func CheckBase(base Base) (Base, error) {
	return checkBase(base, os.Stat, os.Open)
}

func checkBase(base Base, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error)) (Base, error) {
	path, err := filepath.Abs(string(base))
	if err != nil {
		return "", badBase(base, "cannot be made absolute; give an absolute path", err)
	}
	info, err := stat(path)
	if err != nil {
		return "", badBase(base, baseCure(err), err)
	}
	if !info.IsDir() {
		return "", badBase(base, "is not a directory; give the directory that holds the website", nil)
	}
	// Listing needs permission to read, "/." to search.
	d, err := open(path)
	if err == nil {
		d.Close()
		_, err = stat(path + "/.")
	}
	if err != nil {
		return "", badBase(base, baseCure(err), err)
	}
	return Base(path), nil
}

func baseCure(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such directory; create it or give another"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied; make it readable (chmod a+rx) or run as its owner"
	default:
		return err.Error() + "; give a directory that can be read"
	}
}

func badBase(base Base, cure string, err error) error {
	return exitcode.New(exitcode.Config, "--base "+human.Quoted(string(base))+": "+cure, err)
}
