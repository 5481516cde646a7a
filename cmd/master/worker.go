package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// findWorker returns the path of the worker binary: the one given, or the
// one beside the master's own executable, symbolic links resolved.
func findWorker(given string) (string, error) {
	path := given
	if path == "" {
		self, err := os.Executable()
		if err == nil {
			self, err = filepath.EvalSymlinks(self)
		}
		if err != nil {
			return "", badWorker("beside master", "own path is unknown", err)
		}
		path = filepath.Join(filepath.Dir(self), "worker")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", badWorker(given, "cannot be made absolute", err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", badWorker(path, "no such file", err)
	case err != nil:
		return "", badWorker(path, err.Error(), err)
	case !info.Mode().IsRegular() || unix.Access(path, unix.X_OK) != nil:
		return "", badWorker(path, "not an executable file", nil)
	}
	return path, nil
}

func badWorker(path, what string, err error) error {
	return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: %s; build it with make, or name it with --worker PATH", path, what), err)
}
