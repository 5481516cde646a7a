package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// findWorker returns the path of the worker binary: the one given, or the
// one beside the master's own executable, symbolic links resolved.
func findWorker(given string) (string, error) {
	path := given
	if path == "" {
		self, err := executable()
		if err == nil {
			self, err = filepath.EvalSymlinks(self)
		}
		if err != nil {
			return "", exitcode.New(exitcode.Config, fmt.Sprintf("worker beside the master: the master's own file is gone (%v); put it back, or name the worker with --worker PATH", err), err)
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

// executable returns the path of this program: from the kernel, or without /proc from
// os.Args[0].
func executable() (string, error) {
	path, err := os.Executable()
	if errors.Is(err, fs.ErrNotExist) {
		if path, err = exec.LookPath(os.Args[0]); err == nil {
			path, err = filepath.Abs(path)
		}
	}
	return path, err
}

func badWorker(path, what string, err error) error {
	return exitcode.New(exitcode.Config, fmt.Sprintf("worker %s: %s; build it with make, or name it with --worker PATH", path, what), err)
}
