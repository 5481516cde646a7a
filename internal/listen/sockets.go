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

// sockets are those of one address.
type sockets struct {
	Address // with the port taken

	network, host string
	files         []*os.File // by slot
	passed        *os.File   // the one that another process has opened and keeps; nil: none
	group         []*os.File // all that listen, in the kernel's order; see steer
	file          fileID     // of a unix socket that this server has made; zero: none
	refuses       bool       // refuseNew was called
}

// openAddress opens the sockets of an address, or none.
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

// openFirst opens the socket that claims the address.
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

// join opens a socket more on the same address; of a unix socket there is one alone.
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

// share lets one slot more use the first socket.
func (s *sockets) share() error {
	f, err := duplicate(int(s.group[0].Fd()))
	if err == nil {
		s.files = append(s.files, f)
	}
	return err
}

// foreign reports whether a slot has the socket that another process has opened and
// keeps.
func (s *sockets) foreign(slot int) bool {
	return s.passed != nil && same(s.files[slot], s.passed)
}

// refuseNew lets no socket of the address begin another connection.
func (s *sockets) refuseNew() error {
	s.refuses = true
	errs := []error{s.removeFile()}
	for _, f := range s.group {
		if s.passed == nil || !same(f, s.passed) { // its connections are for the next server
			errs = append(errs, RefuseNew(int(f.Fd())))
		}
	}
	if s.passed != nil {
		errs = append(errs, s.steer(nil)) // a program stays with the socket that stays
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
	if slices.Contains(s.group, f) {
		s.leave(f)
	}
	return f.Close()
}

// leave keeps the order that the kernel has after a socket was closed.
func (s *sockets) leave(f *os.File) {
	last := len(s.group) - 1
	s.group[slices.Index(s.group, f)] = s.group[last]
	s.group = s.group[:last]
}

func (s *sockets) close() error {
	errs := []error{s.removeFile()}
	for _, f := range s.group {
		errs = append(errs, f.Close())
	}
	for _, f := range s.files {
		if !slices.Contains(s.group, f) { // it shares the first socket
			errs = append(errs, f.Close())
		}
	}
	s.files, s.group = nil, nil
	return errors.Join(errs...)
}

// resolve returns the network and host for package net. A family is named
// for an address that is given, for net takes 0.0.0.0 to mean IPv6 as well.
func resolve(a Address) (network, host string, err error) {
	if a.Host == "" {
		return "tcp", "", nil
	}
	ip, err := netip.ParseAddr(a.Host)
	if err != nil {
		return "", "", errNoIP
	}
	if ip = ip.Unmap(); ip.Is4() {
		return "tcp4", ip.String(), nil
	}
	// Package net takes an interface that it does not find for none.
	if zone := ip.Zone(); zone != "" && !hasInterface(zone) {
		return "", "", errNoInterface
	}
	return "tcp6", ip.String(), nil
}

// hasInterface reports whether an interface of this name or index exists.
func hasInterface(zone string) bool {
	_, err := net.InterfaceByName(zone)
	if index, bad := strconv.Atoi(zone); err != nil && bad == nil {
		_, err = net.InterfaceByIndex(index)
	}
	return err == nil
}

// claim opens the socket that claims the port. Two servers that start in
// the same instant can each see the other announce itself in listen(2) and
// both be refused, so a refusal is asked about again, at another moment.
func claim(network, host string, port int) (*net.TCPListener, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		l, err := open(network, host, port, claiming)
		if err == nil {
			// net sets SO_REUSEADDR already; Control sets it again.
			if err = control(l, reuseport.Control); err != nil {
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
	// KeepAlive -1 and no multipath: net would set options on every
	// accepted socket, which ours inherit from the listening one.
	lc := net.ListenConfig{Control: before, KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func control(l *net.TCPListener, f controlFunc) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return f("tcp", l.Addr().String(), raw)
}

// listener is one of package net.
type listener interface {
	net.Listener
	syscall.Conn
}

// add takes l over.
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
