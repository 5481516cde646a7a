package listen

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"phalanx/internal/unixsocket"
)

// Check reports the first address at which no server on this machine can listen. That
// one is listened at already, or that this user may not, is no error: a server may be
// running, and another user may start it. The error is an [*exitcode.Error].
func Check(addresses []Address) error {
	for _, a := range addresses {
		check := checkHost
		if a.Path != "" {
			check = checkPath
		}
		if err := check(a); err != nil {
			return explain(a, err)
		}
	}
	return nil
}

// checkHost binds a socket to the host, at a free port.
func checkHost(a Address) error {
	network, host, err := resolve(a)
	if err != nil {
		return err
	}
	l, err := open(network, host, 0, claiming)
	if err != nil {
		return err
	}
	return l.Close()
}

// checkPath looks at the directory of a unix socket, and at the file that is there.
func checkPath(a Address) error {
	info, err := os.Stat(filepath.Dir(a.Path))
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := os.Lstat(a.Path); err == nil && info.Mode().Type() != os.ModeSocket {
		return unixsocket.ErrNoSocket
	}
	return nil
}
