package listen

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// This file handles sockets that a service manager keeps while there is no server, as
// systemd does (FDSTORE=1 in sd_notify(3)): after a master was killed, the next one
// finds in their accept queues whoever has connected meanwhile.

// Kept is a socket that a service manager keeps, under a name.
type Kept struct {
	FD   int
	Name string
}

const keptName = "phalanx-"

// IsKept reports whether a name is one that [Set.Kept] gives.
func IsKept(name string) bool { return strings.HasPrefix(name, keptName) }

// Kept returns the sockets that are worth keeping; the descriptors stay the set's. Those
// that another process has opened are kept there.
func (s *Set) Kept() []Kept {
	var all []Kept
	for i, a := range s.all {
		if a.passed != nil || a.Path != "" {
			continue
		}
		for number, f := range a.group {
			all = append(all, Kept{int(f.Fd()), fmt.Sprintf("%s%d-%03d", keptName, i, number)})
		}
	}
	return all
}

// restoreAll makes the sockets of the addresses for which some were kept; nil for the
// others.
func restoreAll(cfg Config) ([]*sockets, error) {
	all, left := make([]*sockets, len(cfg.Addresses)), slices.Clone(cfg.Kept)
	for i, a := range cfg.Addresses {
		var err error
		if all[i], err = restore(a, cfg.Slots, &left); err != nil {
			return nil, exitcode.New(exitcode.Failure, fmt.Sprintf("listen on %v with sockets that were kept: %v", a, err), err)
		}
	}
	for _, k := range left {
		_ = unix.Close(k.FD) // nothing is lost that could be kept
	}
	if len(left) > 0 {
		cfg.Forget(left)
	}
	return all, nil
}

// restore makes the sockets of an address of those that were kept for it, and takes
// these from the list; nil if there are none.
func restore(a Address, slots int, kept *[]Kept) (*sockets, error) {
	var mine []Kept
	*kept = slices.DeleteFunc(*kept, func(k Kept) bool {
		if a.listensAt(k.FD) {
			mine = append(mine, k)
			return true
		}
		return false
	})
	if len(mine) == 0 {
		return nil, nil
	}
	slices.SortFunc(mine, func(x, y Kept) int { return strings.Compare(x.Name, y.Name) }) // the kernel's order
	s := &sockets{Address: a}
	var err error
	if s.network, s.host, err = resolve(a); err != nil {
		return nil, err
	}
	for _, k := range mine {
		f, err := keep(k.FD)
		if err != nil {
			return nil, err
		}
		s.files, s.group = append(s.files, f), append(s.group, f)
	}
	return s, s.refit(slots)
}

// refit makes kept sockets as those that are opened anew, and as many.
func (s *sockets) refit(slots int) error {
	for _, f := range s.files {
		if err := s.prepare(f); err != nil {
			return err
		}
	}
	if err := s.steer(nil); err != nil {
		return err
	}
	for len(s.files) > slots {
		if err := s.shrink(); err != nil {
			return err
		}
	}
	for len(s.files) < slots {
		if s.join() == nil {
			continue
		}
		if err := s.share(); err != nil { // another user opened the first
			return err
		}
	}
	return nil
}

// listensAt reports whether a descriptor is a socket that listens at the address.
func (a Address) listensAt(fd int) bool {
	var at sockets
	if !accepts(fd) || at.locate(fd) != nil {
		return false
	}
	_, host, err := resolve(a)
	if a.Path != "" || at.Path != "" || err != nil || at.Port != a.Port {
		return false
	}
	if host == "" {
		return at.host == "" || at.host == netip.IPv4Unspecified().String()
	}
	host, _, _ = strings.Cut(host, "%") // the kernel tells an interface's number
	return host == at.host
}
