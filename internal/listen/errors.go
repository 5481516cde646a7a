package listen

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

func explain(cfg Config, err error) error {
	port := fmt.Sprintf("--port %d: ", cfg.Port)
	bind := fmt.Sprintf("--bind %s: ", cfg.Bind)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := holder("/proc", cfg.Port)
		if who == "" {
			who = "another server"
		}
		return exitcode.New(exitcode.Failure, port+"already in use by "+who+"; stop it or choose another port", err)
	case errors.Is(err, unix.EACCES):
		return exitcode.New(exitcode.Config, port+"permission denied; run as root, grant CAP_NET_BIND_SERVICE, or choose a port from 1024 up", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return exitcode.New(exitcode.Config, bind+"not an address of this machine; choose one of its own, or omit --bind", err)
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL) && cfg.Bind != "":
		return exitcode.New(exitcode.Config, bind+"this machine cannot use such an address; choose another", err)
	default:
		return exitcode.New(exitcode.Failure, fmt.Sprintf("--port %d: %v", cfg.Port, err), err)
	}
}
