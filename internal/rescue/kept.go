package rescue

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Kept is what the master needs to rescue the connections of one worker. It belongs to one
// goroutine, except for Transfer, Wait, Discard and Close.
type Kept struct {
	records  *os.File
	lifeline *Lifeline
}

// NewKept creates the files for a worker's RecordsFD and LifelineFD. The caller
// closes lifeline once the worker has been started.
func NewKept(sizes Sizes) (k *Kept, records, lifeline *os.File, err error) {
	fd, err := Create(sizes)
	if err != nil {
		return nil, nil, nil, err
	}
	k = &Kept{records: os.NewFile(uintptr(fd), "records")}
	k.lifeline, lifeline, err = newLifelinePair()
	if err != nil {
		return nil, nil, nil, errors.Join(err, k.records.Close())
	}
	return k, k.records, lifeline, nil
}

// State has the descriptors that an upgraded master inherits.
type State struct{ Records, Lifeline int }

// State returns what [Resume] needs.
func (k *Kept) State() State {
	s := State{Records: int(k.records.Fd())}
	_ = k.lifeline.raw.Control(func(fd uintptr) { s.Lifeline = int(fd) })
	return s
}

// Resume restores a Kept after an upgrade of the master. The descriptors must be close-on-exec
// again.
func Resume(s State) *Kept {
	return &Kept{records: os.NewFile(uintptr(s.Records), "records"), lifeline: newLifeline(s.Lifeline)}
}

// Greeted returns the process that has sent the first message on the lifeline: the keeper sends it
// before its worker is ready. Greeted does not wait.
func (k *Kept) Greeted() (pid int, err error) { return k.lifeline.greeting(time.Now()) }

// Use makes a process the keeper, which will be killed in the end. The process must be a child of
// this process.
func (k *Kept) Use(pid int) error {
	err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil {
		k.lifeline.keeper, err = os.FindProcess(pid)
	}
	if err != nil {
		return fmt.Errorf("process %d is not a keeper: %w", pid, err)
	}
	return nil
}

// Wait waits until the keeper has exited, and reaps it.
func (k *Kept) Wait() {
	if keeper := k.lifeline.keeper; keeper != nil {
		if _, err := keeper.Wait(); err != nil { // process 1 has reaped it
			_ = keeper.Release()
		}
	}
}

// Discard kills and reaps the keeper, if any, of a worker that died before it was ready, and closes
// everything. It waits for the keeper for a short time.
func (k *Kept) Discard(worker int) {
	until := time.Now().Add(answerTime)
	for k.lifeline.keeper == nil {
		pid, err := k.lifeline.greeting(until)
		if err != nil {
			break
		}
		if pid != worker {
			_ = k.Use(pid) // it may fail: then the loop tries the next one
		}
	}
	k.EndKeeper()
	k.Wait()
	// The keeper may have been killed before it had left the worker's process group.
	for err := unix.EINTR; err == unix.EINTR; {
		err, _ = unix.Waitid(unix.P_PGID, worker, nil, unix.WEXITED, nil).(unix.Errno)
	}
	k.Close()
}

// Readable reports whether the records have the layout of this program. The records of a worker
// from before an upgrade may have another.
func (k *Kept) Readable() bool {
	m, err := Map(int(k.records.Fd()), false)
	if err == nil {
		m.Close()
	}
	return !errors.Is(err, errLayout)
}

// Transfer sends the connections on a rescue channel, see [Transfer].
func (k *Kept) Transfer(channel int, moving Moving) (left int, err error) {
	l := k.Lifeline()
	if l == nil {
		return 0, ErrKeeperGone
	}
	_, left, err = Transfer(channel, int(k.records.Fd()), l, moving)
	return left, err
}

// Lifeline returns the lifeline of the keeper, for [Moving]; nil if there is no keeper.
func (k *Kept) Lifeline() *Lifeline {
	if k.lifeline.keeper == nil {
		return nil
	}
	return k.lifeline
}

// EndKeeper kills the keeper of the worker, which closes the descriptors that no other process has
// open. It does not wait.
func (k *Kept) EndKeeper() {
	if k.lifeline.keeper != nil {
		_ = k.lifeline.keeper.Kill() // an error means that it has exited
	}
	k.lifeline.shut()
}

// Close ends the keeper and discards the records. It may wait, because the kernel closes the
// descriptors in the lifeline's queue, and a compromised worker may have put any there.
func (k *Kept) Close() {
	k.EndKeeper()
	k.lifeline.close()
	k.records.Close()
}

// Available returns why connections cannot be rescued with records of these sizes: a limit
// of the address space or of files may be too small, or the system an emulated one that
// cannot start a keeper. The error is nil if they can.
func Available(sizes Sizes) error {
	if err := shares(); err != nil {
		return err
	}
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
