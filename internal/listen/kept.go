package listen

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// This file handles sockets in the descriptor store of a service manager such as systemd
// (FDSTORE=1 in sd_notify(3)). After a master was killed, the next one accepts the connections
// that have queued in the meantime.

// Kept is a socket in the descriptor store, with its name.
type Kept struct {
	FD   int
	Name string
}

const keptName = "phalanx-"

// IsKept reports whether a name was given by [Set.Kept]. The beginning does not suffice: a
// socket that systemd passes has by default the name of its unit, such as phalanx-http.socket.
func IsKept(name string) bool {
	numbers, ok := strings.CutPrefix(name, keptName)
	address, socket, more := strings.Cut(numbers, "-")
	return ok && more && isNumber(address) && isNumber(socket)
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Kept returns the sockets to store, except those that another process keeps open anyway. The
// set keeps its descriptors.
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

// restoreAll returns for each address its sockets from the store; nil if there are none.
func restoreAll(cfg Config) ([]*sockets, error) {
	all, left := make([]*sockets, len(cfg.Addresses)), slices.Clone(cfg.Kept)
	for i, a := range cfg.Addresses {
		var err error
		if all[i], err = restore(a, cfg.Slots, &left); err != nil {
			return nil, exitcode.New(exitcode.Failure, fmt.Sprintf("listen on %v with sockets that were kept: %v", a, err), err)
		}
	}
	for _, k := range left {
		_ = unix.Close(k.FD) // no slot needs it
	}
	if len(left) > 0 {
		cfg.Forget(left)
	}
	return all, nil
}

// restore returns the sockets of an address from the store and removes them from kept, at most
// one for each slot; nil if there are none. The others stay there: the service manager has to
// close its copies too, or they get a share of the connections, which nobody accepts.
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
	if len(mine) > slots {
		*kept, mine = append(*kept, mine[slots:]...), mine[:slots]
	}
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

// refit sets up sockets from the store like new ones, and adds those of further slots.
func (s *sockets) refit(slots int) error {
	for _, f := range s.files {
		if err := s.prepare(f); err != nil {
			return err
		}
	}
	if err := s.steer(nil); err != nil {
		return err
	}
	for len(s.files) < slots {
		if s.join() == nil {
			continue
		}
		if err := s.share(); err != nil { // the first was opened by another user
			return err
		}
	}
	return nil
}

// listensAt reports whether a descriptor is a socket that listens on the address.
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
		return at.host == "" || at.host == netip.IPv4Unspecified().String() && !dualStack()
	}
	host, _, _ = strings.Cut(host, "%") // the kernel returns the interface as a number
	is, _, _ := strings.Cut(at.host, "%")
	return host == is
}

// dualStack reports whether a socket for all addresses, IPv4 and IPv6, can be opened.
func dualStack() bool {
	l, err := open("tcp", "", 0, claiming)
	if err != nil {
		return false
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).IP.To4() == nil
}
