// Package listen opens the pool's listening sockets: one per slot, all on
// one address, among which the kernel spreads new connections.
//
// The first socket is bound and listens without SO_REUSEPORT, which fails if
// another process listens there, even another Phalanx. Only then is SO_REUSEPORT
// switched on and the other slots join: at no moment can a second server share the
// port by accident.
package listen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/libp2p/go-reuseport"
	"golang.org/x/sys/unix"

	"phalanx/internal/exitcode"
)

// Config says where to listen.
type Config struct {
	Bind  string // an IP address; "" is every address, IPv4 and IPv6
	Port  int    // 0 takes a free one
	Slots int    // how many sockets, at least 1

	// Socket is the descriptor of a socket that listens already, which then counts
	// for Bind and Port; 0: there is none.
	Socket int
}

// Set is the pool's listening sockets. It keeps them for life: what waits in
// the accept queue of a dead worker is there for the next one.
type Set struct {
	cfg           Config
	network, host string
	port          int
	files         []*os.File // by slot
	passed        *os.File   // the one that another process has opened and keeps; nil: none
	group         []*os.File // all that listen, in the kernel's order; see Steer
}

// Open opens all sockets or none. Its errors are of type [*exitcode.Error].
func Open(cfg Config) (*Set, error) {
	if cfg.Socket > 0 {
		return activated(cfg)
	}
	network, host, err := address(cfg.Bind)
	if err != nil {
		return nil, err
	}
	first, err := openFirst(network, host, cfg.Port)
	if err != nil {
		return nil, explain(cfg, err)
	}
	s := &Set{cfg: cfg, network: network, host: host, port: first.Addr().(*net.TCPAddr).Port}
	err = s.add(first)
	for slot := 1; slot < cfg.Slots && err == nil; slot++ {
		err = s.join()
	}
	if err != nil {
		return nil, explain(cfg, errors.Join(err, s.Close()))
	}
	return s, nil
}

// Port returns the port taken.
func (s *Set) Port() int { return s.port }

// File returns the socket of a slot, non-blocking and close-on-exec. It
// belongs to the set.
func (s *Set) File(slot int) *os.File { return s.files[slot] }

// RefuseNew lets no socket of the set, in whichever process, begin another
// connection. See [RefuseNew].
func (s *Set) RefuseNew() error {
	var errs []error
	for _, f := range s.group {
		if s.passed == nil || !same(f, s.passed) { // its connections are for the next server
			errs = append(errs, RefuseNew(int(f.Fd())))
		}
	}
	if s.passed != nil {
		errs = append(errs, s.Steer(nil)) // a program stays with the socket that stays
	}
	return errors.Join(errs...)
}

// address returns the network and host for package net. A family is named
// for an address that is given, for net takes 0.0.0.0 to mean IPv6 as well.
func address(bind string) (network, host string, err error) {
	if bind == "" {
		return "tcp", "", nil
	}
	ip, err := netip.ParseAddr(bind)
	if err != nil {
		return "", "", exitcode.New(exitcode.Config, fmt.Sprintf("--bind %q: not an IP address; give one such as 127.0.0.1 or ::1", bind), err)
	}
	if ip = ip.Unmap(); ip.Is4() {
		return "tcp4", ip.String(), nil
	}
	// Package net takes an interface that it does not find for none.
	if zone := ip.Zone(); zone != "" && !hasInterface(zone) {
		return "", "", exitcode.New(exitcode.Config, fmt.Sprintf("--bind %s: no interface %s on this machine; ip -6 address lists them", bind, zone), nil)
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

// openFirst opens the socket that claims the port. Two servers that start in
// the same instant can each see the other announce itself in listen(2) and
// both be refused, so a refusal is asked about again, at another moment.
func openFirst(network, host string, port int) (*net.TCPListener, error) {
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

// add takes l over. The set's copy stays out of the runtime's poller, or
// every new connection would wake the master: os.NewFile leaves a blocking
// descriptor alone, and O_NONBLOCK is put back behind its back.
func (s *Set) add(l *net.TCPListener) error {
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		var dup int
		if dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3); dupErr != nil {
			return
		}
		if dupErr = unix.SetNonblock(dup, false); dupErr == nil {
			f := os.NewFile(uintptr(dup), "listening socket")
			s.files, s.group = append(s.files, f), append(s.group, f)
			dupErr = unix.SetNonblock(dup, true)
		} else {
			unix.Close(dup)
		}
	})
	return errors.Join(err, dupErr)
}
