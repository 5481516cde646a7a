package supervise

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/logging"
	"phalanx/internal/rescue"
)

// Process is one worker as the pool sees it. One goroutine receives, one waits, and the pool's
// own goroutine sends and signals.
type Process interface {
	PID() int
	Receive() (ipc.Message, error) // io.EOF when the worker is gone
	Send(ipc.Message) error        // never blocks
	SendFile(m ipc.Message, fd int) error
	Signal(syscall.Signal) error
	Wait() Exit // called once; Receive ends soon after
	Close() error
	Handle() Handle // for an upgrade; valid until Close
	Kept() Kept     // what rescues its connections when it dies; nil: they are not rescued
}

// Handle is what an upgraded master needs to take over a worker.
type Handle struct {
	PID             int
	Channel, Output int // descriptors: the control channel, and the worker's output
	Log             int `json:",omitempty"` // descriptor of its log pipe; 0: a worker of a version that had none
	Kept            *rescue.State
}

// descriptors returns those that h has.
func (h Handle) descriptors() []int {
	fds := []int{h.Channel, h.Output}
	if h.Log > 0 {
		fds = append(fds, h.Log)
	}
	if h.Kept != nil {
		fds = append(fds, h.Kept.Records, h.Kept.Lifeline)
	}
	return fds
}

// Exit is how a process ended.
type Exit struct {
	Code      int            // exit code, if Signal and Err are zero
	Signal    syscall.Signal // the signal that killed it
	LastWords string         // the end of its standard output and error
	Crash     string         // the line of its output with which a crash of the Go runtime began, or ""
	Memory    int64          // peak memory in bytes; 0: not known
	CPU       time.Duration  // CPU time; 0: not known
	Err       error          // why it could not be started or waited for
}

// lingerTime limits how long a dead worker's pipe and channel are still read, in case a child of
// it in another process group goes on to write.
const lingerTime = 500 * time.Millisecond

// process is a running worker.
type process struct {
	proc       *os.Process
	channel    *ipc.Channel
	output     *os.File        // reading end of its standard output and error
	log        *logging.Source // nil: a worker of a version that had none
	kept       *rescue.Kept    // nil: connections are not rescued
	render     func(*os.File)  // nil: nothing is rendered
	help       func(int, ipc.Job, *os.File)
	last       *os.File // last socket passed to render; nil: there was none
	messages   window   // messages received
	tail       tail
	outputRead chan struct{} // closed when tail is complete
}

func newProcess(proc *os.Process, channel *ipc.Channel, output *os.File, kept *rescue.Kept) *process {
	p := &process{proc: proc, channel: channel, output: output, kept: kept, outputRead: make(chan struct{})}
	go func() {
		defer close(p.outputRead)
		p.readOutput()
	}()
	return p
}

func (p *process) PID() int                             { return p.proc.Pid }
func (p *process) Send(m ipc.Message) error             { return p.channel.Send(m) }
func (p *process) SendFile(m ipc.Message, fd int) error { return p.channel.SendFile(m, fd) }

// Close reaps a worker that has been waited for, and closes its descriptors. Until the pool knows
// of its end, an upgrade may pass these on.
func (p *process) Close() error {
	_, err := p.proc.Wait()
	if p.log != nil {
		err = errors.Join(err, p.log.Close())
	}
	p.channel.Empty()
	return errors.Join(err, p.output.Close(), p.channel.Close())
}

// Receive returns the next message. Messages that do not concern the pool it handles itself. A
// message for whose descriptor this process has none free is dropped: the worker is not to blame.
func (p *process) Receive() (ipc.Message, error) {
	for {
		m, fd, err := p.channel.ReceiveFile()
		full := errors.Is(err, unix.EMFILE)
		if (err == nil || full) && !p.messages.take(1, mostMessages, time.Now()) {
			err, full = errFlood, false
		}
		if full {
			continue
		}
		switch job := m.(type) {
		case ipc.Render:
			if family(fd) == unix.AF_UNIX {
				p.renderOne(os.NewFile(uintptr(fd), "Markdown"))
				fd = -1
			}
		case ipc.Job:
			if fd >= 0 && family(fd) == unix.AF_UNSPEC && p.help != nil {
				p.help(p.PID(), job, os.NewFile(uintptr(fd), "job"))
				fd = -1
			}
		default:
			ipc.Discard(fd)
			return m, err
		}
		ipc.Discard(fd)
		if err != nil {
			return nil, err
		}
	}
}

// family returns the address family of a socket, and AF_UNSPEC for anything else. The close of
// what is accepted here must not wait, and a worker can set SO_LINGER again at any time: so
// connections are not accepted at all.
func family(fd int) int {
	domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) // 0 with an error
	return domain
}

// renderOne has Markdown rendered, unless the previous request of the worker is under way: with
// many at once it could use up the descriptors.
func (p *process) renderOne(socket *os.File) {
	if p.render == nil || p.last != nil && !closed(p.last) {
		socket.Close()
		return
	}
	p.last = socket
	p.render(socket)
}

// closed reports whether the file has been closed.
func closed(f *os.File) bool {
	raw, err := f.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

func (p *process) Handle() Handle {
	h := Handle{PID: p.proc.Pid, Channel: descriptor(p.channel), Output: descriptor(p.output)}
	if p.log != nil {
		h.Log = p.log.Fd()
	}
	if p.kept != nil {
		state := p.kept.State()
		h.Kept = &state
	}
	return h
}

// descriptor returns the descriptor of an open file or channel, which still owns it.
func descriptor(c syscall.Conn) (fd int) {
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

func (p *process) Signal(sig syscall.Signal) error {
	err := p.proc.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // the pool will hear of its exit
	}
	return err
}

// Kept returns a nil interface, never one that holds a nil pointer.
func (p *process) Kept() Kept {
	if p.kept == nil {
		return nil
	}
	return p.kept
}

// readAll waits until everything that a dead worker wrote has been read from its pipe and
// channel. They have no end-of-file while its keeper or a child has them open.
func (p *process) readAll() {
	for _, f := range []syscall.Conn{p.output, p.channel} {
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		const least = 100 // looks, because this process may itself be stopped for longer than lingerTime
		for looks, until := 0, time.Now().Add(lingerTime); looks < least || time.Now().Before(until); looks++ {
			unread := false
			if raw.Control(func(fd uintptr) { unread = ipc.Waiting(int(fd)) }) != nil || !unread {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// Wait waits until the worker has exited, and kills the rest of its process group: a child would
// keep the listening socket open, and so the port. The worker is not reaped yet, so that no other
// process can get the number of the group.
func (p *process) Wait() Exit {
	var usage unix.Rusage
	end, err := waitid(unix.P_PID, p.proc.Pid, unix.WEXITED|unix.WNOWAIT, &usage)
	if err == nil {
		_ = unix.Kill(-p.proc.Pid, unix.SIGKILL) // usually no process is left
	}
	if p.log != nil {
		p.log.Drain() // so that its last lines are logged before its death
	}
	p.readAll()
	// Setting a deadline fails only on a closed file, which ends the reading too.
	_ = p.output.SetReadDeadline(time.Now())
	_ = p.channel.SetReadDeadline(time.Now())
	<-p.outputRead
	e := Exit{
		LastWords: p.tail.String(), Crash: p.tail.Crash(), Err: err,
		Memory: usage.Maxrss << 10, // Maxrss is in kilobytes (getrusage(2))
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
	}
	if end.code == exitedNormally {
		e.Code = int(end.child.status)
	} else if e.Signal = syscall.Signal(end.child.status); e.Signal == syscall.SIGSYS {
		e.Crash = forbidden(p.proc.Pid)
	}
	return e
}
