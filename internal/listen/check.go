package listen

import "phalanx/internal/unixsocket"

// Check returns an [*exitcode.Error] for the first address on which no server on this machine
// could listen. An address in use, or one that this user may not bind, is no error: a server
// may be running, and another user may start it.
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

// checkHost binds a socket to the host and a free port.
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
