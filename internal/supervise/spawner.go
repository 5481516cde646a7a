package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
	"phalanx/internal/logging"
	"phalanx/internal/rescue"
)

// Spawner starts real workers.
type Spawner struct {
	Path    string                                  // path of the worker binary
	Args    func(slot, row int, kept bool) []string // its command line; row -1: it has none; kept: it has Records
	Env     []string                                // its environment
	Sockets func(slot int) []*os.File               // listening sockets of a slot; none: the worker only takes over connections, and drains
	// Render renders the Markdown that arrives on a socket, and closes the socket; it does not
	// wait. nil: nothing is rendered.
	Render func(socket *os.File)
	// Help passes a job of the worker with a pid to the helper, and closes the file; it does
	// not wait. nil: jobs are dropped.
	Help  func(pid int, job ipc.Job, file *os.File)
	Log   *logging.Collector // collects the log lines of workers
	Board *os.File           // nil: no worker has a row
	Bell  *os.File           // given with Board
	// Records has the sizes of the rescue records; nil: connections are not rescued.
	Records *rescue.Sizes
}

// Spawn executes the worker of a slot, with a row of the scoreboard unless row is negative. The
// process has a group of its own, so that a terminal's Ctrl-C reaches only the master.
func (s *Spawner) Spawn(slot, row int) (Process, error) {
	e, err := newEnds()
	defer e.closeTheirs()
	var pid *os.Process
	if err == nil {
		pid, err = s.start(slot, row, &e)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("start worker %d: %w", slot, err)
	}
	p := newProcess(pid, e.channel, e.output, e.kept)
	p.log, p.render, p.help = s.Log.Add(e.log, slot, p.PID()), s.Render, s.Help
	return p, nil
}

// start executes the worker.
func (s *Spawner) start(slot, row int, e *ends) (*os.Process, error) {
	sockets := s.Sockets(slot)
	if len(sockets) == 0 {
		sockets = []*os.File{e.nothing}
	}
	files := []*os.File{sockets[0], e.workerEnd, e.logEnd, nil, nil}
	if s.Board == nil {
		row = -1
	}
	if row >= 0 {
		files[3], files[4] = s.Board, s.Bell
	}
	if s.Records != nil {
		kept, records, lifeline, err := rescue.NewKept(*s.Records)
		if err != nil {
			return nil, err
		}
		defer lifeline.Close() // only the worker keeps this end
		e.kept, files = kept, append(files, records, lifeline)
	}
	cmd := exec.Command(s.Path, s.Args(slot, row, s.Records != nil)...)
	cmd.Env = s.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.nothing, e.input, e.input
	cmd.ExtraFiles = withListeners(files, sockets)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := cmd.Start()
	return cmd.Process, err
}

// ends are both ends of the channels and pipes between a worker and this process.
type ends struct {
	channel *ipc.Channel
	output  *os.File     // reading end of its standard output and error
	log     int          // descriptor of the reading end of its log pipe; 0: there is none yet
	kept    *rescue.Kept // nil: connections are not rescued

	workerEnd, input, logEnd, nothing *os.File // the worker's
}

// newEnds makes the ends that every worker has. After an error, those made so far are returned.
func newEnds() (e ends, err error) {
	if e.channel, e.workerEnd, err = ipc.Pair(); err != nil {
		return e, err
	}
	if e.output, e.input, err = os.Pipe(); err != nil {
		return e, err
	}
	var log [2]int
	if err = unix.Pipe2(log[:], unix.O_CLOEXEC); err != nil {
		return e, err
	}
	e.log, e.logEnd = log[0], os.NewFile(uintptr(log[1]), "log")
	if err = unix.SetNonblock(e.log, true); err != nil {
		return e, err
	}
	e.nothing, err = noInput()
	return e, err
}

// closeTheirs closes the worker's ends.
func (e *ends) closeTheirs() {
	for _, f := range []*os.File{e.workerEnd, e.input, e.logEnd, e.nothing} {
		f.Close() // also of those that were not made
	}
}

// close closes the ends of this process.
func (e *ends) close() {
	if e.kept != nil {
		e.kept.Close()
	}
	if e.channel != nil {
		e.channel.Close()
	}
	e.output.Close()
	if e.log > 0 {
		unix.Close(e.log)
	}
}

// withListeners adds the further listening sockets of a slot to a worker's descriptors, which
// begin with 3. A nil file is a closed descriptor in the worker.
func withListeners(files, sockets []*os.File) []*os.File {
	for i := 1; i < len(sockets); i++ {
		for len(files) < ipc.ListenerFD(i)-3 {
			files = append(files, nil)
		}
		files = append(files, sockets[i])
	}
	return files
}

// noInput returns a pipe without a writer as standard input: os/exec would open /dev/null, which
// does not exist in every root directory.
func noInput() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}

// Reattach takes over a slot's worker after an upgrade, with the descriptors of its Handle. If it
// fails, the worker is killed and the descriptors are closed, which ends its keeper. Without its
// channel the worker would drain, and make its listening socket refuse connections that the next
// worker should get.
func (s *Spawner) Reattach(slot int, h Handle) (Process, error) {
	fds := h.descriptors()
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	p, err := reattach(h)
	if err == nil {
		if p.render, p.help = s.Render, s.Help; h.Log > 0 {
			p.log = s.Log.Add(h.Log, slot, h.PID)
		}
		return p, nil
	}
	_ = unix.Kill(h.PID, unix.SIGKILL) // an error means that the worker is dead
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
	proc, err := os.FindProcess(h.PID) // the last step that can fail, because proc holds a descriptor
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find worker %d: %w", h.PID, err), channel.Close())
	}
	var kept *rescue.Kept
	if h.Kept != nil {
		kept = rescue.Resume(*h.Kept)
	}
	return newProcess(proc, channel, os.NewFile(uintptr(h.Output), "output"), kept), nil
}
