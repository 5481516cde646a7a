package listen

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Error is one sentence that names the flag, its value and the cure.
type Error struct {
	code int
	text string
	err  error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

// ExitCode is 78 when only another configuration helps, else 1.
func (e *Error) ExitCode() int { return e.code }

func explain(cfg Config, err error) error {
	port := fmt.Sprintf("--port %d: ", cfg.Port)
	bind := fmt.Sprintf("--bind %s: ", cfg.Bind)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := holder("/proc", cfg.Port)
		if who == "" {
			who = "another server"
		}
		return &Error{1, port + "already in use by " + who + "; stop it or choose another port", err}
	case errors.Is(err, unix.EACCES):
		return &Error{78, port + "needs a privilege; choose 1024 or above, or give master CAP_NET_BIND_SERVICE", err}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return &Error{78, bind + "no address of this machine; choose one of its own, or leave --bind out", err}
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL) && cfg.Bind != "":
		return &Error{78, bind + "this machine cannot use such an address; choose another", err}
	default:
		return &Error{1, fmt.Sprintf("--port %d: %v", cfg.Port, err), err}
	}
}
