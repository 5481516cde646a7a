package listen

import "phalanx/internal/unixsocket"

// Check reports the first address at which no server on this machine can listen. That
// one is listened at already, or that this user may not, is no error: a server may be
// running, and another user may start it. The error is an [*exitcode.Error].
func Check(addresses []Address) error {
	for _, a := range addresses {
		var err error
		if a.Path != "" {
			err = unixsocket.Check(a.Path)
		} else {
			err = checkHost(a)
		}
		if err != nil {
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
