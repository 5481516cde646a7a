package upgrade

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Across an execve(2), pending signals and the mask of the calling thread stay,
// and so do ignored signals; handlers do not. Go's runtime unblocks SIGHUP, SIGINT
// and SIGTERM when it starts, which ends the process until os/signal wants them,
// and os/signal unblocks SIGTTIN and SIGTTOU before it has a handler for them,
// which stops it. So:
//
//   - The old program blocks all in every thread, looks whether one has come, and
//     only then executes the new one: what comes later waits.
//   - SIGTTIN, SIGTTOU, SIGUSR1 and SIGUSR2 stay blocked in the new program, which
//     reads them from a signalfd(2).
//   - SIGHUP is ignored until the new program asks for it. It replaces its workers
//     with the settings of that time anyway, and looks for its terminal.
//   - SIGINT and SIGTERM, in the moment between the runtime's start and main, end the
//     master. The workers then drain, as they were to.

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
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGUSR1, syscall.SIGUSR2,
	}
}

// queued is more signals than come while the pool's loop is elsewhere.
const queued = 64

// Catch begins to catch signals. A program that was executed by an upgrade does it
// first of all, before it reads its options.
func Catch() *Signals {
	// A log whose reader has gone must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	s := &Signals{c: make(chan os.Signal, queued)}
	s.C = s.c
	var mask, blocked unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask) != nil {
		mask = unix.Sigset_t{}
	}
	var notified []os.Signal
	for _, sig := range List() {
		// The runtime unblocks the first three in all threads, and no other.
		if number := sig.(syscall.Signal); has(&mask, number) && number != syscall.SIGHUP && number != syscall.SIGINT && number != syscall.SIGTERM {
			add(&blocked, number)
		} else {
			notified = append(notified, sig)
		}
	}
	signal.Notify(s.c, notified...)
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
		s.Add(syscall.Signal(binary.NativeEndian.Uint32(info[:])))
	}
	return true
}

// Add adds a signal that has not come, but should have.
func (s *Signals) Add(sig syscall.Signal) {
	select {
	case s.c <- sig:
	default: // there are others to take
	}
}

// Stop ends the catching.
func (s *Signals) Stop() {
	signal.Stop(s.c)
	if s.file != nil {
		s.file.Close()
	}
	s.ends.Wait()
}

// held runs f with all signals held back in every thread and none on its way to
// C, unless one waits there: then it reports false. f executes another program,
// and returns only if that failed.
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
	for i := range all.Val {
		all.Val[i] &^= before.Val[i] // the others are blocked everywhere
	}
	everywhere(unix.SIG_BLOCK, &all)
	defer everywhere(unix.SIG_UNBLOCK, &all)
	// Stop waits until what a thread has taken has arrived.
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, syscall.SIGWINCH)
	signal.Stop(taken)
	if len(s.c) > 0 {
		return false, nil
	}
	defer ignore(syscall.SIGHUP)()
	f()
	return true, nil
}

// everywhere changes the mask of all threads. With cgo that cannot be done, nor
// while one waits for a disk, which may be for ever: then a signal that another
// thread takes in the last moment is lost.
func everywhere(how int, set *unix.Sigset_t) {
	stats, _ := filepath.Glob("/proc/self/task/*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if _, state, _ := bytes.Cut(stat, []byte(") ")); err == nil && bytes.HasPrefix(state, []byte("D")) {
			return
		}
	}
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(set)), 0, 8, 0, 0)
}

// ignore lets the kernel ignore a signal, behind the back of os/signal, and
// returns what undoes it.
func ignore(sig syscall.Signal) (undo func()) {
	ignored, before := action{handler: 1}, action{} // SIG_IGN
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignored)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	if errno != 0 {
		return func() {}
	}
	return func() {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
	}
}

// action begins like the kernel's struct sigaction, and is as large as the largest.
type action struct {
	handler uintptr
	rest    [7]uintptr
}

func add(set *unix.Sigset_t, sig syscall.Signal) { set.Val[(sig-1)/64] |= 1 << ((sig - 1) % 64) }

func has(set *unix.Sigset_t, sig syscall.Signal) bool {
	return set.Val[(sig-1)/64]&(1<<((sig-1)%64)) != 0
}
