// Package listen opens the pool's listening sockets: for each address one per slot,
// among which the kernel spreads new connections, or for a unix socket one that all
// slots share.
//
// The first socket of an address is bound and listens without SO_REUSEPORT, which fails
// if another process listens there, even another Phalanx. Only then is SO_REUSEPORT
// switched on and the other slots join: at no moment can a second server share the
// port by accident.
package listen

import (
	"errors"
	"os"
)

// Config says where to listen.
type Config struct {
	Addresses []Address
	Slots     int // how many sockets of each address, at least 1

	// Passed are sockets that listen already, and then count for Addresses.
	Passed []Passed

	// Kept are sockets of a server before this one, which a service manager kept.
	Kept []Kept
	// Forget is called with those that no address needs, after they have been closed
	// and before sockets are opened: the service manager's copies still hold their port.
	Forget func([]Kept)
}

// Passed is a listening socket that another process has opened and keeps.
type Passed struct {
	FD     int
	Secure bool // see Address
}

// Set is the pool's listening sockets. It keeps them for life: what waits in
// the accept queue of a dead worker is there for the next one.
type Set struct {
	all []*sockets // by address
}

// Socket is a listening socket of a slot.
type Socket struct {
	File    *os.File // non-blocking and close-on-exec; it belongs to the set
	Secure  bool     // see Address
	Shared  bool     // the workers of all slots accept from it
	Foreign bool     // another process keeps it; it must not be changed permanently
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

// Addresses returns where the set listens, with the ports taken.
func (s *Set) Addresses() []Address {
	var all []Address
	for _, a := range s.all {
		all = append(all, a.Address)
	}
	return all
}

// Sockets returns the sockets of a slot for its next worker, one for each address; none
// after Close. If an earlier worker made one of them refuse connections, it no longer
// does, unless that is for all.
func (s *Set) Sockets(slot int) []Socket {
	var all []Socket
	for _, a := range s.all {
		if slot >= len(a.files) {
			continue
		}
		if !a.refuses {
			_ = admitNew(int(a.files[slot].Fd())) // it can be served all the same
		}
		all = append(all, Socket{File: a.files[slot], Secure: a.Secure, Shared: a.Path != "", Foreign: a.foreign(slot)})
	}
	return all
}

// RefuseNew lets no socket of the set, in whichever process, begin another
// connection. See [RefuseNew].
func (s *Set) RefuseNew() error {
	return s.each((*sockets).refuseNew)
}

// Steer sends new connections to these slots alone; with none, or all slots
// that there are, the kernel chooses among all. What has begun elsewhere goes
// on there.
func (s *Set) Steer(slots []int) error {
	return s.each(func(a *sockets) error { return a.steer(slots) })
}

// Grow opens the sockets of one slot more and returns its number.
func (s *Set) Grow() (slot int, err error) {
	for i, a := range s.all {
		if err := a.join(); err != nil {
			for _, grown := range s.all[:i] {
				_ = grown.shrink() // the error is why
			}
			return -1, explain(a.Address, err)
		}
		slot = len(a.files) - 1
	}
	return slot, nil
}

// Shrink closes the sockets of the last slot; after Close there are none. Call it when
// no other process has them open: the kernel counts the others anew when the last copy
// is closed.
func (s *Set) Shrink() error {
	return s.each((*sockets).shrink)
}

// Close closes the set's copies. A worker that still has its own continues to accept;
// the accept queues of the others are reset.
func (s *Set) Close() error {
	return s.each((*sockets).close)
}

// Queue returns how many connections wait to be accepted from a slot's sockets,
// and how many may; zero for a slot that has none. What waits at a socket that all
// slots share counts for the first slot.
func (s *Set) Queue(slot int) (waiting, most int) {
	for _, a := range s.all {
		w, m := a.queue(slot)
		waiting, most = waiting+w, most+m
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
