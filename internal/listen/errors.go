package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/unixsocket"
)

// errNoInterface is an error of an address, besides those of system calls.
var errNoInterface = errors.New("no such interface")

// explain returns an [*exitcode.Error] that says what is wrong with an address and what to do.
func explain(a Address, err error) error {
	if a.Path != "" {
		return unixsocket.Explain("--listen "+human.Quoted(a.String()), a.Path, err)
	}
	port, host, omit := a.flags()
	switch {
	case errors.Is(err, errNoInterface):
		ip, _ := netip.ParseAddr(a.Host)
		return exitcode.New(exitcode.Config, fmt.Sprintf("%sno interface %s on this machine; ip -6 address lists them", host, ip.Zone()), err)
	case errors.Is(err, unix.EADDRINUSE):
		who := holder("/proc", a.Port)
		if who == "" {
			who = "another server"
		}
		return exitcode.New(exitcode.Failure, port+"already in use by "+who+"; stop it or choose another port", err)
	case errors.Is(err, unix.EACCES):
		return exitcode.New(exitcode.Config, port+"permission denied; run as root, grant CAP_NET_BIND_SERVICE, or choose a port from 1024 up", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return exitcode.New(exitcode.Config, host+"not an address of this machine; choose one of its own, or "+omit, err)
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL) && a.Host != "":
		return exitcode.New(exitcode.Config, host+"this machine cannot use such an address; choose another", err)
	default:
		return exitcode.New(exitcode.Failure, fmt.Sprintf("%s%v", port, err), err)
	}
}

// flags returns the beginnings of errors about the port and about the host, and how to listen
// on all addresses.
func (a Address) flags() (port, host, omit string) {
	if a.Short {
		return fmt.Sprintf("--port %d: ", a.Port), "--bind " + a.Host + ": ", "omit --bind"
	}
	name := "--listen " + human.Quoted(a.String()) + ": "
	a.Host = ""
	return name, name, "write --listen " + a.String()
}
