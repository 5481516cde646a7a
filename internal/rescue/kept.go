package rescue

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// Kept is what the master needs to rescue the connections of one worker. It belongs
// to one goroutine, except for Transfer.
type Kept struct {
	records  *os.File
	lifeline *os.File // the writing end; when it is closed, every keeper of the worker exits
	keeper   int      // a pidfd, -1 if there is none
}

// NewKept creates the files for a worker's RecordsFD and LifelineFD. The caller
// closes lifeline once the worker has been started.
func NewKept(sizes Sizes) (k *Kept, records, lifeline *os.File, err error) {
	fd, err := Create(sizes)
	if err != nil {
		return nil, nil, nil, err
	}
	k = &Kept{records: os.NewFile(uintptr(fd), "records"), keeper: -1}
	lifeline, k.lifeline, err = os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("create lifeline of the keeper: %w", err), k.records.Close())
	}
	return k, k.records, lifeline, nil
}

// State has the descriptors that an upgraded master inherits.
type State struct{ Records, Lifeline int }

// State returns what [Resume] needs.
func (k *Kept) State() State {
	return State{int(k.records.Fd()), int(k.lifeline.Fd())}
}

// Resume restores a Kept after an upgrade of the master. The descriptors have to be
// close-on-exec again.
func Resume(s State) *Kept {
	return &Kept{records: os.NewFile(uintptr(s.Records), "records"), lifeline: os.NewFile(uintptr(s.Lifeline), "lifeline"), keeper: -1}
}

// Use makes a process the keeper, which will be killed in the end. A corrupted
// worker may name any process, so it has to be a child of this process and hold
// the worker's lifeline, which only the worker can have passed on.
func (k *Kept) Use(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	err = unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil {
		err = k.checkLifeline(fd, ipc.LifelineFD)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("process %d is not a keeper: %w", pid, err)
	}
	// The keeper does the same when it first runs. Until then it would be killed
	// with the worker's process group.
	_ = unix.Setpgid(pid, pid)
	k.closeKeeper()
	k.keeper = fd
	return nil
}

// checkLifeline checks that a process has the lifeline open as this number.
func (k *Kept) checkLifeline(pidfd, number int) error {
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err == unix.EPERM || err == unix.ENOSYS {
		return nil // unknown, but then no connection can be taken from it either
	}
	if err != nil {
		return fmt.Errorf("check its lifeline: %w", err)
	}
	defer unix.Close(fd)
	var its, ours unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &its), unix.Fstat(int(k.lifeline.Fd()), &ours)); err != nil {
		return fmt.Errorf("check its lifeline: %w", err)
	}
	if its.Dev != ours.Dev || its.Ino != ours.Ino {
		return errors.New("it does not have the worker's lifeline open")
	}
	return nil
}

// WaitFor waits until a keeper has exited, and reaps it.
func (k *Kept) WaitFor(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED, nil)
		if err != unix.EINTR {
			return // ECHILD: it has been reaped already
		}
	}
}

// Named returns the processes that the worker's records name as its keepers, for
// a worker that died before it could send them.
func (k *Kept) Named() []int {
	m, err := Map(int(k.records.Fd()), false)
	if err != nil {
		return nil
	}
	defer m.Close()
	var all []int
	used, made := m.Keeper()
	for _, pid := range []int{used, made} {
		if pid > 0 {
			all = append(all, pid)
		}
	}
	return all
}

// Readable reports whether the records have the layout of this program. Those of a
// worker from before an upgrade may have another.
func (k *Kept) Readable() bool {
	m, err := Map(int(k.records.Fd()), false)
	if err == nil {
		m.Close()
	}
	return !errors.Is(err, errLayout)
}

// Transfer sends the connections on a rescue channel, see [Transfer].
func (k *Kept) Transfer(channel int, moving Moving) (left int, err error) {
	if k.keeper < 0 {
		return 0, ErrKeeperGone
	}
	_, left, err = Transfer(channel, int(k.records.Fd()), k.keeper, moving)
	return left, err
}

// Keeper returns a copy of the keeper's pidfd for [Moving], -1 if there is none.
func (k *Kept) Keeper() int {
	fd, err := unix.FcntlInt(uintptr(k.keeper), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// EndKeeper ends every keeper of the worker, which closes those of its descriptors
// that no other process has open. It does not wait.
func (k *Kept) EndKeeper() {
	if k.keeper >= 0 {
		// An error means that it has exited; else closing the lifeline ends it.
		_ = unix.PidfdSendSignal(k.keeper, unix.SIGKILL, nil, 0)
	}
	k.lifeline.Close()
}

// Close ends the keeper and discards the records.
func (k *Kept) Close() {
	k.EndKeeper()
	k.closeKeeper()
	k.records.Close()
}

func (k *Kept) closeKeeper() {
	if k.keeper >= 0 {
		unix.Close(k.keeper)
		k.keeper = -1
	}
}

// Available returns why connections cannot be rescued with records of these sizes,
// because of this kernel (pidfd_getfd(2) needs Linux 5.6) or of a limit of this
// process; nil if they can.
func Available(sizes Sizes) error {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(self)
	fd, err := unix.PidfdGetfd(self, self, 0)
	if err != nil {
		return fmt.Errorf("pidfd_getfd: %w", err)
	}
	unix.Close(fd)
	// A limit of the address space or of files may be too small for the records.
	records, err := Create(sizes)
	if err != nil {
		return err
	}
	defer unix.Close(records)
	m, err := Map(records, true)
	if err != nil {
		return err
	}
	return m.Close()
}
