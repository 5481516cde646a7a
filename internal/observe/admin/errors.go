package admin

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/observe/address"
	"phalanx/internal/unixsocket"
)

// explain turns an error of listening into an [exitcode.Error].
func explain(a address.Address, err error) error {
	flag := "--admin " + human.Quoted(string(a))
	var unknown *net.DNSError
	_, port, _ := net.SplitHostPort(string(a))
	switch {
	case a.Unix():
		return unixsocket.Explain(flag, string(a), err)
	case errors.Is(err, unix.EADDRINUSE):
		return exitcode.New(exitcode.Failure, flag+": in use by another server; stop it or choose another address", err)
	case errors.As(err, &unknown):
		return exitcode.New(exitcode.Config, flag+": host "+unknown.Name+" cannot be resolved; use an IP address such as 127.0.0.1", err)
	case errors.Is(err, unix.EACCES):
		return exitcode.New(exitcode.Config, flag+": permission denied; run as root, grant CAP_NET_BIND_SERVICE, or choose a port from 1024 up", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return exitcode.New(exitcode.Config, flag+": not an address of this machine; choose one of its own, such as 127.0.0.1:"+port, err)
	}
	return exitcode.New(exitcode.Failure, flag+": "+err.Error(), err)
}
