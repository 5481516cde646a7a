package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/libp2p/go-reuseport"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// This file handles inherited sockets: those of the program before an upgrade, or of
// the process that started this one.

// Inherit makes a set of sockets that another program of this process exported;
// cfg.Socket is the one of them that was passed to that program, if one was.
func Inherit(cfg Config, fds, slots []int) (*Set, error) {
	s := &Set{cfg: cfg, files: make([]*os.File, len(fds))}
	for i, fd := range fds {
		f, err := keep(fd)
		if err != nil {
			return nil, err
		}
		if s.files[slots[i]] = f; fd == cfg.Socket {
			s.passed = f
		}
		if !slices.ContainsFunc(s.group, func(g *os.File) bool { return same(f, g) }) { // else it shares that
			s.group = append(s.group, f)
		}
	}
	return s, s.locate(s.group[0])
}

// Foreign reports whether a slot has the socket that another process has opened and
// keeps, which this server must not change permanently.
func (s *Set) Foreign(slot int) bool {
	return s.passed != nil && same(s.files[slot], s.passed)
}

// same reports whether two files are one socket; false if unknown.
func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// keep takes a listening socket over. Like those of add it stays out of the
// runtime's poller, without its mode being touched, which it shares with the
// workers: it takes the place of another file that the runtime does not poll.
func keep(fd int) (*os.File, error) {
	place, err := unix.MemfdCreate("listening socket", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("inherit listening socket: %w", err)
	}
	f := os.NewFile(uintptr(place), "listening socket")
	if err := errors.Join(unix.Dup3(fd, int(f.Fd()), unix.O_CLOEXEC), unix.SetNonblock(int(f.Fd()), true)); err != nil {
		return nil, fmt.Errorf("inherit listening socket: %w", errors.Join(err, f.Close()))
	}
	return f, unix.Close(fd)
}

// locate finds out where a socket listens, so that others can join it.
func (s *Set) locate(f *os.File) error {
	fd := int(f.Fd())
	local, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("inherit listening socket: %w", err)
	}
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		s.network, s.host, s.port = "tcp4", netip.AddrFrom4(a.Addr).String(), a.Port
	case *unix.SockaddrInet6:
		s.network, s.host, s.port = "tcp6", netip.AddrFrom16(a.Addr).String(), a.Port
		if only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil && only == 0 {
			s.network, s.host = "tcp", "" // every address, IPv4 too
		}
	default:
		return fmt.Errorf("inherit listening socket: it is of family %T", local)
	}
	return nil
}

// activated makes a set of a socket that listens already, as systemd passes it
// on (sd_listen_fds(3)). The other slots join it where the kernel lets them,
// which it does for sockets of one user; else all have the one socket, and one
// queue.
func activated(cfg Config) (*Set, error) {
	accepts, err := unix.GetsockoptInt(cfg.Socket, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if protocol, other := unix.GetsockoptInt(cfg.Socket, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || other != nil || accepts == 0 || protocol != unix.IPPROTO_TCP {
		return nil, exitcode.New(exitcode.Config, "LISTEN_FDS: the descriptor is not a listening TCP socket; use ListenStream= with a port", err)
	}
	first, err := keep(cfg.Socket)
	if err != nil {
		return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), err)
	}
	s := &Set{cfg: cfg, files: []*os.File{first}, group: []*os.File{first}, passed: first}
	if err := errors.Join(s.locate(first), prepare(first)); err != nil {
		return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), errors.Join(err, s.Close()))
	}
	for slot := 1; slot < cfg.Slots; slot++ {
		if err := s.join(); err != nil {
			if err = s.share(); err != nil {
				return nil, exitcode.New(exitcode.Failure, "LISTEN_FDS: "+err.Error(), errors.Join(err, s.Close()))
			}
		}
	}
	return s, nil
}

// prepare gives an inherited socket the options of all others.
func prepare(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if err := claiming("", "", raw); err != nil {
		return err
	}
	// A server before this one may have let it refuse connections (RefuseNew).
	err = unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("detach filter: %w", err)
	}
	return reuseport.Control("", "", raw)
}

// join opens a socket more on the same address.
func (s *Set) join() error {
	l, err := open(s.network, s.host, s.port, joining)
	if err != nil {
		return err
	}
	return s.add(l)
}

// share lets one slot more use the first socket.
func (s *Set) share() error {
	fd, err := unix.FcntlInt(s.group[0].Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("duplicate listening socket: %w", err)
	}
	f, err := keep(fd)
	if err == nil {
		s.files = append(s.files, f)
	}
	return err
}
