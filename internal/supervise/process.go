package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"phalanx/internal/ipc"
)

// Process is one worker as the pool sees it. One goroutine receives, one
// waits, and the pool's own sends and signals.
type Process interface {
	PID() int
	Receive() (ipc.Message, error) // io.EOF when the worker is gone
	Send(ipc.Message) error        // never blocks
	SendFile(m ipc.Message, fd int) error
	Signal(syscall.Signal) error
	Wait() Exit // once; Receive ends soon after
	Close() error
}

// Exit is how a process ended.
type Exit struct {
	Code      int            // exit code, if Signal and Err are zero
	Signal    syscall.Signal // the signal that killed it
	LastWords string         // the end of its standard output and error
	Memory    int64          // bytes that it used at most; 0 if that is not known
	Err       error          // it could not be started or waited for
}

// The descriptors a worker finds open, beside the standard ones.
const (
	ListenFD  = 3 // its slot's listening socket, non-blocking
	ControlFD = 4 // its end of the control channel
	LogFD     = 5 // where log lines go
)

// lingerTime bounds how long a dead worker's pipe and channel are read on,
// which matters when it left a child behind that holds them open.
const lingerTime = 500 * time.Millisecond

// Spawner starts real workers.
type Spawner struct {
	Path   string                  // of the worker binary
	Args   func(slot int) []string // its command line
	Env    []string                // its environment
	Socket func(slot int) *os.File // its listening socket
	Log    *os.File
}

// Spawn executes the worker of a slot. The process has a group of its own,
// so that a terminal's Ctrl-C reaches the master alone.
func (s *Spawner) Spawn(slot int) (Process, error) {
	channel, workerEnd, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer workerEnd.Close()
	p := &process{channel: channel}
	p.cmd = exec.Command(s.Path, s.Args(slot)...)
	p.cmd.Env = s.Env
	p.cmd.Stdout = &p.tail
	p.cmd.Stderr = &p.tail
	p.cmd.ExtraFiles = []*os.File{s.Socket(slot), workerEnd, s.Log}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = lingerTime
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %d: %w", slot, err), channel.Close())
	}
	return p, nil
}

type process struct {
	cmd     *exec.Cmd
	channel *ipc.Channel
	tail    tail
}

func (p *process) PID() int                      { return p.cmd.Process.Pid }
func (p *process) Receive() (ipc.Message, error) { return p.channel.Receive() }
func (p *process) Send(m ipc.Message) error      { return p.channel.Send(m) }
func (p *process) Close() error                  { return p.channel.Close() }

func (p *process) SendFile(m ipc.Message, fd int) error { return p.channel.SendFile(m, fd) }

func (p *process) Signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // its exit is on the way to the pool
	}
	return err
}

func (p *process) Wait() Exit {
	err := p.cmd.Wait()
	e := Exit{LastWords: p.tail.String()}
	if p.cmd.ProcessState == nil {
		e.Err = err
	} else if ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		e.Signal = ws.Signal()
	} else {
		e.Code = ws.ExitStatus()
	}
	if usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		e.Memory = usage.Maxrss << 10 // getrusage(2): in kilobytes
	}
	// The deadline can fail only on a closed channel, which ends Receive too.
	_ = p.channel.SetReadDeadline(time.Now().Add(lingerTime))
	return e
}
