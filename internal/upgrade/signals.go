package upgrade

import (
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/supervise"
)

// The signals of [List] are blocked in every thread from the first instruction of the program,
// and read from a signalfd(2). So none is lost in an upgrade: execve(2) keeps pending signals
// and the mask of the calling thread.
//
// The Go runtime would unblock SIGHUP, SIGINT, SIGQUIT and SIGTERM some milliseconds before
// os/signal can catch them; and with os/signal any thread can receive a signal while another
// calls execve, which loses it. So scripts/build.sh makes phalanx_entry the entry point of the
// master. It blocks the signals, and changes their flags in the runtime's table so that they
// stay blocked, if that table has the expected layout. It does nothing for a command such as
// "master status", that is, if the first argument begins with a letter from a to z and the
// program was not executed by an upgrade.
//
// A master built in another way uses os/signal: one of the four signals can kill it in the
// first milliseconds after an upgrade, and a signal in the last moment before it can be lost.
// The latter also holds for a master started with a directory whose name begins with such a
// letter, until its first upgrade.

// Signals catches the signals of [List].
type Signals struct {
	C    <-chan os.Signal
	c    chan os.Signal
	file *os.File   // a signalfd; nil: os/signal is used
	mu   sync.Mutex // held while a signal is moved from file to c
	ends sync.WaitGroup
}

// List returns the signals that a master handles.
func List() []os.Signal {
	return []os.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGUSR2,
	}
}

// queued is the capacity of C, more signals than arrive while the pool's loop is busy.
const queued = 64

// Catch starts catching signals.
func Catch() *Signals {
	// A closed log pipe must not kill the server.
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
		if err != nil { // signals may be late or lost in an upgrade then
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

// next reads one signal; false: none is pending.
func (s *Signals) next(fd uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var info [unsafe.Sizeof(unix.SignalfdSiginfo{})]byte
	n, err := unix.Read(int(fd), info[:])
	if errors.Is(err, unix.EAGAIN) {
		return false
	}
	if n == len(info) {
		s.put(syscall.Signal(binary.NativeEndian.Uint32(info[:])))
	}
	return true
}

// put adds a signal to C, after those that are waiting.
func (s *Signals) put(sig os.Signal) {
	select {
	case s.c <- sig:
	default: // C is full of signals to handle first
	}
}

// stopAfter is how long [Signals.Await] still waits after a signal to stop.
const stopAfter = time.Second

// Await runs f before there is a pool that handles the signals, and returns true when f has
// returned. If it has not a second after a signal to stop, for instance because a disk does not
// respond, Await returns false, and f runs on. No signal is lost.
func (s *Signals) Await(f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	var early []os.Signal
	defer func() {
		for _, sig := range early {
			s.put(sig)
		}
	}()
	var late <-chan time.Time
	for {
		select {
		case <-done:
			return true
		case <-late:
			return false
		case sig := <-s.C:
			early = append(early, sig)
			if late == nil && supervise.Stops(sig) {
				late = time.After(stopAfter)
			}
		}
	}
}

// Stop stops catching signals.
func (s *Signals) Stop() {
	signal.Stop(s.c)
	if s.file != nil {
		s.file.Close()
	}
	s.ends.Wait()
}

// held runs f with the signals blocked in its thread. If a signal is waiting in C, it does not
// run f and returns false. f executes the new binary, and returns only if that fails.
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
