package upgrade

import (
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals of [List] are blocked in every thread from the first instruction of the
// program on, and read from a signalfd(2). So they cannot come at a wrong time: across
// an execve(2), pending signals and the mask of the calling thread stay.
//
// The Go runtime would unblock SIGHUP, SIGINT, SIGQUIT and SIGTERM some milliseconds
// before os/signal can ask for them; and with os/signal any thread can take a signal
// while another is about to call execve, which then forgets it. So scripts/build.sh makes
// phalanx_entry the entry point of the master. It blocks the signals, and changes their
// flags in the runtime's table, if that is as it was when this was written: then they
// stay blocked. Only for a command, such as "master status", it leaves all as it is: if
// the first argument begins with a letter from a to z, and the program was not executed
// by an upgrade.
//
// A master that was built in another way uses os/signal: one of the four can end it in
// the first milliseconds of the new program, and a signal in the last moment of the old
// one can be lost. The latter is true as well of one that was started with a directory of
// such a name, until its first upgrade.

// Signals catches those of [List].
type Signals struct {
	C    <-chan os.Signal
	c    chan os.Signal
	file *os.File   // a signalfd; nil: there is none
	mu   sync.Mutex // held while a signal goes from file to c
	ends sync.WaitGroup
}

// List are the signals that a master handles.
func List() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGUSR2,
	}
}

// queued is more signals than come while the pool's loop is elsewhere.
const queued = 64

// Catch begins to catch signals.
func Catch() *Signals {
	// A log whose reader has gone must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	s := &Signals{c: make(chan os.Signal, queued)}
	s.C = s.c
	var mask, blocked unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask) != nil {
		mask = unix.Sigset_t{}
	}
	for _, sig := range List() {
		if number := sig.(syscall.Signal); has(&mask, number) {
			add(&blocked, number)
		} else {
			signal.Notify(s.c, sig)
		}
	}
	if blocked != (unix.Sigset_t{}) {
		fd, err := unix.Signalfd(-1, &blocked, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK)
		if err != nil { // they are late then, or lost, but nothing else is
			signal.Notify(s.c, List()...)
			return s
		}
		s.file = os.NewFile(uintptr(fd), "signals")
		s.ends.Go(s.read)
	}
	return s
}

func (s *Signals) read() {
	raw, err := s.file.SyscallConn()
	for err == nil {
		err = raw.Read(s.next)
	}
}

// next reads one signal; false: there is none now.
func (s *Signals) next(fd uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var info [unsafe.Sizeof(unix.SignalfdSiginfo{})]byte
	n, err := unix.Read(int(fd), info[:])
	if errors.Is(err, unix.EAGAIN) {
		return false
	}
	if n == len(info) {
		select {
		case s.c <- syscall.Signal(binary.NativeEndian.Uint32(info[:])):
		default: // there are others to take
		}
	}
	return true
}

// Stop ends the catching.
func (s *Signals) Stop() {
	signal.Stop(s.c)
	if s.file != nil {
		s.file.Close()
	}
	s.ends.Wait()
}

// held runs f with all signals blocked in its thread, unless one has come and waits in
// C: then it reports false. f executes another program, and returns only if that failed.
func (s *Signals) held(f func()) (free bool, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all, before unix.Sigset_t
	for _, sig := range List() {
		add(&all, sig.(syscall.Signal))
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, &before); err != nil {
		return false, err
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	if len(s.c) > 0 {
		return false, nil
	}
	f()
	return true, nil
}

func add(set *unix.Sigset_t, sig syscall.Signal) { set.Val[(sig-1)/64] |= 1 << ((sig - 1) % 64) }

func has(set *unix.Sigset_t, sig syscall.Signal) bool {
	return set.Val[(sig-1)/64]&(1<<((sig-1)%64)) != 0
}
