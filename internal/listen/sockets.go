package listen

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/libp2p/go-reuseport"
	"golang.org/x/sys/unix"
)

// sockets are the sockets of one address.
type sockets struct {
	Address // with the actual port

	network, host string
	files         []*os.File // by slot
	passed        *os.File   // the one that another process keeps open; nil: none
	group         []*os.File // all that listen, in the kernel's order; see steer
	file          fileID     // of a unix socket that this server has created; zero: none
	refuses       bool       // refuseNew was called
}

// openAddress opens all sockets of an address, or none.
func openAddress(a Address, slots int) (*sockets, error) {
	s := &sockets{Address: a}
	err := s.openFirst()
	for slot := 1; slot < slots && err == nil; slot++ {
		err = s.join()
	}
	if err != nil {
		return nil, explain(a, errors.Join(err, s.close()))
	}
	return s, nil
}

// openFirst opens the first socket, which claims the address.
func (s *sockets) openFirst() (err error) {
	if s.Path != "" {
		return s.openUnix()
	}
	if s.network, s.host, err = resolve(s.Address); err != nil {
		return err
	}
	first, err := claim(s.network, s.host, s.Port)
	if err != nil {
		return err
	}
	s.Port = first.Addr().(*net.TCPAddr).Port
	return s.add(first)
}

// join opens another socket on the same address, or duplicates a unix socket.
func (s *sockets) join() error {
	if s.Path != "" {
		return s.share()
	}
	l, err := open(s.network, s.host, s.Port, joining)
	if err != nil {
		return err
	}
	return s.add(l)
}

// extend adds the socket of another slot: one that joins the first, or that itself if it was
// passed by another user, whose sockets the kernel lets nobody join.
func (s *sockets) extend() error {
	if err := s.join(); err == nil || s.passed == nil {
		return err
	}
	return s.share()
}

// share duplicates the first socket for another slot.
func (s *sockets) share() error {
	f, err := duplicate(int(s.group[0].Fd()))
	if err == nil {
		s.files = append(s.files, f)
	}
	return err
}

// foreign reports whether the socket of a slot is kept open by another process.
func (s *sockets) foreign(slot int) bool {
	return s.passed != nil && same(s.files[slot], s.passed)
}

// refuseNew makes all sockets of the address refuse new connections.
func (s *sockets) refuseNew() error {
	s.refuses = true
	errs := []error{s.removeFile()}
	for _, f := range s.group {
		if s.passed == nil || !same(f, s.passed) { // the next server accepts its connections
			errs = append(errs, RefuseNew(int(f.Fd())))
		}
	}
	if s.passed != nil {
		errs = append(errs, s.steer(nil)) // the program would stay attached to that socket
	}
	return errors.Join(errs...)
}

// shrink closes the socket of the last slot.
func (s *sockets) shrink() error {
	if len(s.files) == 0 {
		return nil
	}
	f := s.files[len(s.files)-1]
	s.files = s.files[:len(s.files)-1]
	if i := slices.Index(s.group, f); i >= 0 { // the last one takes its place, as in the kernel
		last := len(s.group) - 1
		s.group[i], s.group = s.group[last], s.group[:last]
	}
	return f.Close()
}

func (s *sockets) close() error {
	errs := []error{s.removeFile()}
	for _, f := range s.group {
		errs = append(errs, f.Close())
	}
	for _, f := range s.files {
		if !slices.Contains(s.group, f) { // a duplicate of the first socket
			errs = append(errs, f.Close())
		}
	}
	s.files, s.group = nil, nil
	return errors.Join(errs...)
}

// resolve returns the network and host for package net. The family is explicit if the host is
// given, because net treats 0.0.0.0 as IPv6 too.
func resolve(a Address) (network, host string, err error) {
	if a.Host == "" {
		return "tcp", "", nil
	}
	ip, err := netip.ParseAddr(a.Host)
	if err != nil {
		return "", "", err // options are checked for that
	}
	if ip = ip.Unmap(); ip.Is4() {
		return "tcp4", ip.String(), nil
	}
	// Package net ignores an unknown interface, and finds a known one by netlink, which a systemd
	// unit may forbid. An index needs no search.
	if zone := ip.Zone(); zone != "" {
		index := interfaceIndex(zone)
		if index == 0 {
			return "", "", errNoInterface
		}
		ip = ip.WithZone(strconv.Itoa(index))
	}
	return "tcp6", ip.String(), nil
}

// interfaceIndex returns the index of the interface with a name or index; 0 if there is none. Any
// socket serves to ask (netdevice(7)).
func interfaceIndex(zone string) int {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if ifr, err := unix.NewIfreq(zone); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) == nil {
		return int(ifr.Uint32())
	}
	index, err := strconv.ParseUint(zone, 10, 31)
	if err != nil {
		return 0
	}
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return 0
	}
	if ifr.SetUint32(uint32(index)); unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr) != nil {
		return 0
	}
	return int(index)
}

// claim opens the socket that claims the port. Two servers that start at the same time can
// make each other's listen(2) fail, so it retries at random intervals.
func claim(network, host string, port int) (*net.TCPListener, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		l, err := open(network, host, port, claiming)
		if err == nil {
			raw, err := l.SyscallConn()
			if err == nil {
				err = reuseport.Control("", "", raw) // net sets SO_REUSEADDR already; Control sets it again
			}
			if err != nil {
				return nil, errors.Join(err, l.Close())
			}
			return l, nil
		}
		if attempt == attempts || !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		time.Sleep(time.Duration(1+rand.IntN(10*attempt)) * time.Millisecond)
	}
}

// controlFunc is what net.ListenConfig calls before bind(2).
type controlFunc = func(network, address string, c syscall.RawConn) error

func open(network, host string, port int, before controlFunc) (*net.TCPListener, error) {
	// KeepAlive -1 and no MPTCP, so that net sets no options itself.
	lc := net.ListenConfig{Control: before, KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// listener is a listener of package net.
type listener interface {
	net.Listener
	syscall.Conn
}

// add adds the socket of l, which it closes.
func (s *sockets) add(l listener) error {
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var f *os.File
	var dupErr error
	err = raw.Control(func(fd uintptr) { f, dupErr = duplicate(int(fd)) })
	if err = errors.Join(err, dupErr); err == nil {
		s.files, s.group = append(s.files, f), append(s.group, f)
	}
	return err
}
