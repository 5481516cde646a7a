package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// This file handles inherited sockets: from the old binary in an upgrade, or from the process
// that started this one.

// State is the sockets of an address, passed to the new binary in an upgrade. The JSON names
// must not change, because the other binary may have another version.
type State struct {
	Address Address
	Sockets []int  // descriptors, in the kernel's order
	Slots   []int  // slot of each
	Passed  int    // the one of them that another process opened and keeps open; 0: none
	File    fileID // of a unix socket
}

// State returns the input of [Inherit]. The set keeps its descriptors.
func (s *Set) State() []State {
	var all []State
	for _, a := range s.all {
		all = append(all, a.state())
	}
	return all
}

func (s *sockets) state() State {
	st := State{Address: s.Address, File: s.file}
	export := func(f *os.File) {
		if slot := slices.Index(s.files, f); slot >= 0 {
			st.Sockets, st.Slots = append(st.Sockets, int(f.Fd())), append(st.Slots, slot)
		}
	}
	for _, f := range s.group {
		export(f)
	}
	for _, f := range s.files {
		if !slices.Contains(s.group, f) { // a duplicate of the first socket
			export(f)
		}
	}
	if s.passed != nil {
		st.Passed = int(s.passed.Fd())
	}
	return st
}

// Inherit returns a set with the sockets of this process before an upgrade.
func Inherit(states []State) (*Set, error) {
	set := new(Set)
	for _, st := range states {
		s, err := inherit(st)
		if err != nil {
			_ = set.Close() // report the first error
			return nil, err
		}
		set.all = append(set.all, s)
	}
	return set, nil
}

func inherit(st State) (*sockets, error) {
	if len(st.Sockets) == 0 || len(st.Sockets) != len(st.Slots) {
		return nil, fmt.Errorf("inherit listening sockets of %v: %d for %d slots", st.Address, len(st.Sockets), len(st.Slots))
	}
	s := &sockets{Address: st.Address, file: st.File, files: make([]*os.File, len(st.Sockets))}
	for i, fd := range st.Sockets {
		f, err := keep(fd)
		if err != nil {
			return nil, err
		}
		if slot := st.Slots[i]; slot < 0 || slot >= len(s.files) || s.files[slot] != nil {
			return nil, fmt.Errorf("inherit listening sockets of %v: slot %d of %d", st.Address, slot, len(s.files))
		}
		if s.files[st.Slots[i]] = f; fd == st.Passed {
			s.passed = f
		}
		if !slices.ContainsFunc(s.group, func(g *os.File) bool { return same(f, g) }) { // not a duplicate
			s.group = append(s.group, f)
		}
	}
	return s, s.locate(int(s.group[0].Fd()))
}

// same reports whether two files are the same socket; false if unknown.
func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// keep takes ownership of a listening socket.
func keep(fd int) (*os.File, error) {
	f, err := duplicate(fd)
	if err != nil {
		return nil, err
	}
	return f, unix.Close(fd)
}

// duplicate returns a copy of a listening socket that the runtime does not poll; otherwise
// every new connection would wake the master. Its non-blocking mode, which it shares with the
// workers, must not change even briefly, so the copy replaces the descriptor of a file that
// the runtime does not poll.
func duplicate(fd int) (*os.File, error) {
	place, err := unix.MemfdCreate("listening socket", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("duplicate listening socket: %w", err)
	}
	f := os.NewFile(uintptr(place), "listening socket")
	if err := errors.Join(unix.Dup3(fd, int(f.Fd()), unix.O_CLOEXEC), unix.SetNonblock(int(f.Fd()), true)); err != nil {
		return nil, fmt.Errorf("duplicate listening socket: %w", errors.Join(err, f.Close()))
	}
	return f, nil
}

// locate sets the address from a socket, so that others can join it.
func (s *sockets) locate(fd int) error {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("inherit listening socket: %w", err)
	}
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		s.network, s.host, s.Port = "tcp4", netip.AddrFrom4(a.Addr).String(), a.Port
	case *unix.SockaddrInet6:
		s.network, s.host, s.Port = "tcp6", host6(a), a.Port
		// The kernel leaves IPV6_V6ONLY off also for an IPv4 address in IPv6 form.
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err == nil && only == 0 && netip.AddrFrom16(a.Addr).IsUnspecified() {
			s.network, s.host = "tcp", "" // all addresses, IPv4 too
		}
	case *unix.SockaddrUnix:
		if s.network = "unix"; s.Path == "" {
			s.Path, s.Mode = a.Name, DefaultMode
		}
	default:
		return fmt.Errorf("inherit listening socket: it is of family %T", local)
	}
	return nil
}

// host6 returns an IPv6 address with the number of its interface if it is link-local: others
// cannot join it without (ipv6(7)).
func host6(a *unix.SockaddrInet6) string {
	ip := netip.AddrFrom16(a.Addr)
	if a.ZoneId != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
	}
	return ip.String()
}

// activated returns the sockets of an address for a listening socket from systemd
// (sd_listen_fds(3)). The other slots join it with SO_REUSEPORT if the kernel allows that, as
// for TCP sockets of the same user; otherwise they share the socket and its queue.
func activated(p Passed, slots int) (*sockets, error) {
	if !accepts(p.FD) {
		return nil, exitcode.New(exitcode.Config, "LISTEN_FDS: the descriptor is not a listening stream socket; use ListenStream=", nil)
	}
	first, err := keep(p.FD)
	if err != nil {
		return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), err)
	}
	s := &sockets{Address: Address{Secure: p.Secure}, files: []*os.File{first}, group: []*os.File{first}, passed: first}
	if err = s.locate(int(first.Fd())); err == nil {
		s.Host = s.host
		err = s.prepare(first)
	}
	for slot := 1; slot < slots && err == nil; slot++ {
		err = s.extend()
	}
	if err == nil && s.Path != "" && s.Secure {
		err = errors.New("a unix socket is for plain HTTP; give it another FileDescriptorName= than https")
	}
	if err != nil {
		return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), errors.Join(err, s.close()))
	}
	return s, nil
}

// accepts reports whether a descriptor is a listening TCP or unix stream socket.
func accepts(fd int) bool {
	var is [4]int
	for i, option := range []int{unix.SO_ACCEPTCONN, unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_PROTOCOL} {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return false
		}
		is[i] = n
	}
	return is[0] != 0 && is[2] == unix.SOCK_STREAM && (is[1] == unix.AF_UNIX || is[3] == unix.IPPROTO_TCP)
}

// prepare sets the options of an inherited socket like those of all others.
func (s *sockets) prepare(f *os.File) error {
	if s.Path == "" {
		raw, err := f.SyscallConn()
		if err == nil {
			err = joining("", "", raw)
		}
		if err != nil {
			return err
		}
	}
	return admitNew(int(f.Fd())) // an earlier server may have called RefuseNew
}
