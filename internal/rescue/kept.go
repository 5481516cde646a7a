package rescue

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// Kept is the master's side: what it needs so that the connections of one
// worker outlive it. It belongs to one goroutine, but for Transfer.
type Kept struct {
	records  *os.File
	lifeline *os.File // the end to write to; closed, every keeper of the worker ends
	keeper   int      // a pidfd, -1 if there is none
}

// NewKept makes what a worker is to have: the files for its RecordsFD and its
// LifelineFD. The caller closes the latter when it has been started.
func NewKept(sizes Sizes) (k *Kept, records, lifeline *os.File, err error) {
	fd, err := Create(sizes)
	if err != nil {
		return nil, nil, nil, err
	}
	k = &Kept{records: os.NewFile(uintptr(fd), "records"), keeper: -1}
	lifeline, k.lifeline, err = os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("make a lifeline: %w", err), k.records.Close())
	}
	return k, k.records, lifeline, nil
}

// State is what goes through an execution of the master's program: descriptors.
type State struct{ Records, Lifeline int }

// State returns what [Resume] needs.
func (k *Kept) State() State {
	return State{int(k.records.Fd()), int(k.lifeline.Fd())}
}

// Resume goes on with what the program before had.
func Resume(s State) *Kept {
	unix.CloseOnExec(s.Records)
	unix.CloseOnExec(s.Lifeline)
	return &Kept{records: os.NewFile(uintptr(s.Records), "records"), lifeline: os.NewFile(uintptr(s.Lifeline), "lifeline"), keeper: -1}
}

// Use makes a process the keeper, if it is a child of this process and holds the
// worker's lifeline, as nobody else does to whom the worker has not given it. A
// worker that has gone mad may name any process, and the keeper will be killed.
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
		return fmt.Errorf("process %d is no keeper: %w", pid, err)
	}
	// It does so itself too, when it first runs. Until then it would end with the
	// worker, whose process group is ended.
	_ = unix.Setpgid(pid, pid)
	k.closeKeeper()
	k.keeper = fd
	return nil
}

// checkLifeline makes sure that a process has the lifeline open with this number.
func (k *Kept) checkLifeline(pidfd, number int) error {
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err == unix.EPERM || err == unix.ENOSYS {
		return nil // it cannot be told, nor can any connection be taken from it
	}
	if err != nil {
		return fmt.Errorf("look at its lifeline: %w", err)
	}
	defer unix.Close(fd)
	var its, ours unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &its), unix.Fstat(int(k.lifeline.Fd()), &ours)); err != nil {
		return fmt.Errorf("look at its lifeline: %w", err)
	}
	if its.Dev != ours.Dev || its.Ino != ours.Ino {
		return errors.New("it does not hold the worker's lifeline")
	}
	return nil
}

// WaitFor waits until a keeper has ended, and takes note of it.
func (k *Kept) WaitFor(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED, nil)
		if err != unix.EINTR {
			return // ECHILD: somebody else has taken note
		}
	}
}

// Named are the processes that the worker itself has named as its keepers in
// its records, for one that died before it could say so.
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

// Transfer sends the connections on a rescue channel, see [Transfer].
func (k *Kept) Transfer(channel int, moving Moving) (sent int, err error) {
	if k.keeper < 0 {
		return 0, ErrKeeperGone
	}
	return Transfer(channel, int(k.records.Fd()), k.keeper, moving)
}

// Keeper is a copy of the keeper's pidfd for [Moving], -1 if there is none.
func (k *Kept) Keeper() int {
	fd, err := unix.FcntlInt(uintptr(k.keeper), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// EndKeeper ends every keeper of the worker: what nobody else has open of its
// descriptors is closed. It does not wait.
func (k *Kept) EndKeeper() {
	if k.keeper >= 0 {
		// It may have ended, or the lifeline has to be enough.
		_ = unix.PidfdSendSignal(k.keeper, unix.SIGKILL, nil, 0)
	}
	k.lifeline.Close()
}

// Close ends the keeper and forgets the records.
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

// Available reports why this kernel cannot keep connections, nil if it can:
// pidfd_getfd(2) came with Linux 5.6.
func Available() error {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(self)
	fd, err := unix.PidfdGetfd(self, self, 0)
	if err != nil {
		return fmt.Errorf("pidfd_getfd: %w", err)
	}
	return unix.Close(fd)
}
