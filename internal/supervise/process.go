package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
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
	Handle() (Handle, error) // for an upgrade
	Kept() Kept              // keeps its connections when it dies; nil: they are not rescued
}

// Handle is what an upgraded master needs to take over a worker.
type Handle struct {
	PID             int
	Channel, Output int // descriptors: the control channel, and the worker's output
	Kept            *rescue.State
}

// Exit is how a process ended.
type Exit struct {
	Code      int            // exit code, if Signal and Err are zero
	Signal    syscall.Signal // the signal that killed it
	LastWords string         // the end of its standard output and error
	Crash     string         // the line of it with which a crash of the Go runtime began, or ""
	Memory    int64          // bytes that it used at most; 0 if that is not known
	CPU       time.Duration  // that it used; 0 if that is not known
	Err       error          // it could not be started or waited for
}

// lingerTime bounds how long a dead worker's pipe and channel are still read, in case
// a child of it in another process group holds them open.
const lingerTime = 500 * time.Millisecond

// Spawner starts real workers.
type Spawner struct {
	Path    string                       // of the worker binary
	Args    func(slot, row int) []string // its command line; row -1: it has none
	Env     []string                     // its environment
	Sockets func(slot int) []*os.File    // its listening sockets; none: it only takes over connections, and drains
	// Render renders the Markdown that comes on a socket, which it closes; it does not
	// wait. nil: nothing is rendered.
	Render func(socket *os.File)
	Log    *os.File
	Board  *os.File // nil: no worker has a row
	Bell   *os.File // given with Board
	// Records are the sizes of the rescue records; nil: connections are not rescued.
	Records *rescue.Sizes
}

// Spawn executes the worker of a slot, with a row of the scoreboard unless that
// is negative. The process has a group of its own,
// so that a terminal's Ctrl-C reaches the master alone.
func (s *Spawner) Spawn(slot, row int) (Process, error) {
	channel, workerEnd, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer workerEnd.Close()
	output, input, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %d: %w", slot, err), channel.Close())
	}
	defer input.Close()
	nothing, err := noInput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %d: %w", slot, err), channel.Close(), output.Close())
	}
	defer nothing.Close()
	sockets := s.Sockets(slot)
	if len(sockets) == 0 {
		sockets = []*os.File{nothing}
	}
	files := []*os.File{sockets[0], workerEnd, s.Log, nil, nil}
	if s.Board == nil {
		row = -1
	}
	if row >= 0 {
		files[3], files[4] = s.Board, s.Bell
	}
	args := s.Args(slot, row)
	kept, files, args, err := s.keep(files, args)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %d: %w", slot, err), channel.Close(), output.Close())
	}
	cmd := exec.Command(s.Path, args...)
	cmd.Env = s.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nothing, input, input
	cmd.ExtraFiles = withListeners(files, sockets)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	if kept != nil {
		files[6].Close() // the lifeline's other end is the worker's alone
	}
	if err != nil {
		if kept != nil {
			kept.Close()
		}
		return nil, errors.Join(fmt.Errorf("start worker %d: %w", slot, err), channel.Close(), output.Close())
	}
	p := newProcess(cmd.Process, channel, output, kept)
	p.render = s.Render
	return p, nil
}

// withListeners adds the further listening sockets of a slot to a worker's descriptors,
// the first of which is 3. What is nil is closed there.
func withListeners(files, sockets []*os.File) []*os.File {
	for i := 1; i < len(sockets); i++ {
		for len(files) < ipc.ListenerFD(i)-3 {
			files = append(files, nil)
		}
		files = append(files, sockets[i])
	}
	return files
}

// keep creates what the rescue of a worker's connections needs, and adds it to the
// worker's descriptors and command line.
func (s *Spawner) keep(files []*os.File, args []string) (*rescue.Kept, []*os.File, []string, error) {
	if s.Records == nil {
		return nil, files, args, nil
	}
	kept, records, lifeline, err := rescue.NewKept(*s.Records)
	if err != nil {
		return nil, nil, nil, err
	}
	return kept, append(files, records, lifeline), append(args, "--kept"), nil
}

// noInput returns a pipe without a writer: os/exec would open /dev/null, which not
// every root directory has.
func noInput() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}

// Reattach takes over a worker that this process had before an upgrade. The
// descriptors are those of Handle. If it fails, the worker is killed, and they are
// closed, which ends its keeper: without its channel it would drain, and make its
// listening socket refuse connections that are the next worker's.
func (s *Spawner) Reattach(h Handle) (Process, error) {
	fds := []int{h.Channel, h.Output}
	if h.Kept != nil {
		fds = append(fds, h.Kept.Records, h.Kept.Lifeline)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	p, err := reattach(h)
	if err == nil {
		p.render = s.Render
		return p, nil
	}
	_ = unix.Kill(h.PID, unix.SIGKILL) // an error means that it is dead
	for _, fd := range fds {
		unix.Close(fd)
	}
	return nil, err
}

func reattach(h Handle) (*process, error) {
	if err := syscall.SetNonblock(h.Output, true); err != nil {
		return nil, fmt.Errorf("output of worker %d: %w", h.PID, err)
	}
	channel, err := ipc.Open(uintptr(h.Channel))
	if err != nil {
		return nil, fmt.Errorf("worker %d: %w", h.PID, err)
	}
	proc, err := os.FindProcess(h.PID) // last: it holds a descriptor
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find worker %d: %w", h.PID, err), channel.Close())
	}
	var kept *rescue.Kept
	if h.Kept != nil {
		kept = rescue.Resume(*h.Kept)
	}
	return newProcess(proc, channel, os.NewFile(uintptr(h.Output), "output"), kept), nil
}

// process is a running worker.
type process struct {
	proc       *os.Process
	channel    *ipc.Channel
	output     *os.File       // the end that is read of its standard output and error
	kept       *rescue.Kept   // nil: connections are not rescued
	render     func(*os.File) // nil: nothing is rendered
	last       *os.File       // of render; nil: there was none
	messages   window         // received
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

// Close lets go of a worker that has been waited for. Only then is it reaped, and are
// its descriptors closed: an upgrade may pass them on until the pool knows of its end.
func (p *process) Close() error {
	_, err := p.proc.Wait()
	return errors.Join(err, p.output.Close(), p.channel.Close())
}

// Receive sees to what needs no pool by itself.
func (p *process) Receive() (ipc.Message, error) {
	for {
		m, fd, err := p.channel.ReceiveFile()
		if err == nil && !p.messages.take(1, mostMessages, time.Now()) {
			err = errFlood
		}
		if _, ok := m.(ipc.Render); !ok || err != nil {
			if fd >= 0 {
				unix.Close(fd)
			}
			return m, err
		}
		if fd >= 0 {
			p.renderOne(os.NewFile(uintptr(fd), "Markdown"))
		}
	}
}

// renderOne has Markdown rendered, unless the same worker's last is not ready yet: it
// could take all descriptors with more.
func (p *process) renderOne(socket *os.File) {
	if p.render == nil || p.last != nil && !closed(p.last) {
		socket.Close()
		return
	}
	p.last = socket
	p.render(socket)
}

// closed reports whether somebody has closed the file.
func closed(f *os.File) bool {
	raw, err := f.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

func (p *process) Handle() (Handle, error) {
	channel, err := descriptor(p.channel)
	if err != nil {
		return Handle{}, err
	}
	output, err := descriptor(p.output)
	h := Handle{PID: p.proc.Pid, Channel: channel, Output: output}
	if p.kept != nil {
		state := p.kept.State()
		h.Kept = &state
	}
	return h, err
}

// descriptor returns that of a file or channel, which still owns it.
func descriptor(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, err
}

func (p *process) Signal(sig syscall.Signal) error {
	err := p.proc.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil // its exit is on the way to the pool
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

// readAll waits until a dead worker's pipe and channel have been read to what it
// wrote last. Their end does not come while its keeper has them open.
func (p *process) readAll() {
	for _, f := range []syscall.Conn{p.output, p.channel} {
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		for until := time.Now().Add(lingerTime); time.Now().Before(until); time.Sleep(100 * time.Microsecond) {
			n := 0
			if raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }) != nil || err != nil || n == 0 {
				break
			}
		}
	}
}

// Wait also ends what is left of the worker's process group: a child of it would keep
// its listening socket, and so the port. The worker is not reaped yet, so that no other
// process can get the number of the group.
func (p *process) Wait() Exit {
	var usage unix.Rusage
	end, err := waitid(unix.P_PID, p.proc.Pid, unix.WEXITED|unix.WNOWAIT, &usage)
	if err == nil {
		_ = unix.Kill(-p.proc.Pid, unix.SIGKILL) // usually no process is left
	}
	linger := lingerTime
	if p.kept != nil {
		p.readAll()
		linger = 0
	}
	// Neither deadline can fail but on what is closed, which ends the reading too.
	_ = p.output.SetReadDeadline(time.Now().Add(linger))
	_ = p.channel.SetReadDeadline(time.Now().Add(linger))
	<-p.outputRead
	e := Exit{
		LastWords: p.tail.String(), Crash: p.tail.Crash(), Err: err,
		Memory: usage.Maxrss << 10, // getrusage(2): in kilobytes
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
	}
	if end.code == exitedNormally {
		e.Code = int(end.child.status)
	} else if e.Signal = syscall.Signal(end.child.status); e.Signal == syscall.SIGSYS {
		e.Crash = forbidden(p.proc.Pid)
	}
	return e
}
