// Package listen opens the pool's listening sockets: for each address one per slot, among
// which the kernel distributes new connections, or for a unix socket one that all slots share.
//
// The first socket of an address listens without SO_REUSEPORT, which fails if another process
// listens there, even another Phalanx. Then SO_REUSEPORT is set and the sockets of the other
// slots join. So two servers never share a port by accident.
package listen

import (
	"errors"
	"os"
)

// Config configures a [Set].
type Config struct {
	Addresses []Address
	Slots     int // number of sockets per address, at least 1

	// Passed are sockets that listen already; they replace Addresses.
	Passed []Passed

	// Kept are sockets of an earlier server from a service manager's store.
	Kept []Kept
	// Forget is called with the Kept sockets that no slot needs, before sockets are opened, so
	// that the service manager closes its copies, which occupy the ports.
	Forget func([]Kept)
}

// Passed is a listening socket that another process has opened and keeps open.
type Passed struct {
	FD     int
	Secure bool // see Address
}

// Set is the pool's listening sockets. It keeps them open, so that the accept queue of a dead
// worker survives for the next one.
type Set struct {
	all []*sockets // by address
}

// Socket is a listening socket of a slot.
type Socket struct {
	File    *os.File // non-blocking and close-on-exec; owned by the set
	Secure  bool     // see Address
	Shared  bool     // the workers of all slots accept from it
	Foreign bool     // another process keeps it open; it must not be changed permanently
}

// Open opens all sockets or none. Its errors are of type [*exitcode.Error].
func Open(cfg Config) (*Set, error) {
	set := new(Set)
	for _, p := range cfg.Passed {
		s, err := activated(p, cfg.Slots)
		if err != nil {
			_ = set.Close() // the error is why
			return nil, err
		}
		set.all = append(set.all, s)
	}
	if len(set.all) > 0 {
		cfg.Addresses = nil
	}
	before, err := restoreAll(cfg)
	if err != nil {
		return nil, err
	}
	for i, a := range cfg.Addresses {
		s := before[i]
		if s == nil {
			s, err = openAddress(a, cfg.Slots)
		}
		if err != nil {
			_ = set.Close() // the error is why
			return nil, err
		}
		set.all = append(set.all, s)
	}
	return set, nil
}

// Addresses returns the addresses of the set, with the actual ports.
func (s *Set) Addresses() []Address {
	var all []Address
	for _, a := range s.all {
		all = append(all, a.Address)
	}
	return all
}

// Sockets returns the sockets of a slot for its next worker, one for each address; none after
// Close. It undoes [RefuseNew] by an earlier worker, but not [Set.RefuseNew].
func (s *Set) Sockets(slot int) []Socket {
	var all []Socket
	for _, a := range s.all {
		if slot >= len(a.files) {
			continue
		}
		if !a.refuses {
			_ = admitNew(int(a.files[slot].Fd())) // not fatal
		}
		all = append(all, Socket{File: a.files[slot], Secure: a.Secure, Shared: a.Path != "", Foreign: a.foreign(slot)})
	}
	return all
}

// RefuseNew makes all sockets of the set, in all processes, refuse new connections. See
// [RefuseNew].
func (s *Set) RefuseNew() error {
	return s.each((*sockets).refuseNew)
}

// Steer steers new connections to these slots only; with none or all slots, the kernel chooses
// among all. Connections that have begun are not affected.
func (s *Set) Steer(slots []int) error {
	return s.each(func(a *sockets) error { return a.steer(slots) })
}

// Grow opens the sockets of another slot and returns its number.
func (s *Set) Grow() (slot int, err error) {
	for i, a := range s.all {
		if err := a.extend(); err != nil {
			for _, grown := range s.all[:i] {
				_ = grown.shrink() // the error is why
			}
			return -1, explain(a.Address, err)
		}
		slot = len(a.files) - 1
	}
	return slot, nil
}

// Shrink closes the sockets of the last slot. No other process may have them open: the kernel
// renumbers the others when the last copy is closed.
func (s *Set) Shrink() error {
	return s.each((*sockets).shrink)
}

// Close closes the set's sockets. Workers that still have copies continue to accept;
// connections in other accept queues are reset.
func (s *Set) Close() error {
	return s.each((*sockets).close)
}

// Queue returns the length and the limit of a slot's fullest accept queue, zero for a slot without
// sockets. Each address has a queue. That of a shared socket counts for the first slot.
func (s *Set) Queue(slot int) (waiting, most int) {
	for _, a := range s.all {
		if w, m := a.queue(slot); most == 0 || w*most > waiting*m {
			waiting, most = w, m
		}
	}
	return waiting, most
}

func (s *Set) each(f func(*sockets) error) error {
	var errs []error
	for _, a := range s.all {
		errs = append(errs, f(a))
	}
	return errors.Join(errs...)
}
