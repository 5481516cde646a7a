package rescue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/ipc"
)

// answerTime limits the wait for a keeper's answer. A keeper does nothing but answer.
const answerTime = 5 * time.Second

// ErrKeeperGone means that the keeper has exited or does not answer, so the dead worker's
// descriptors are lost.
var ErrKeeperGone = errors.New("the keeper is gone")

var (
	errSilent = errors.New("it does not answer")
	errAnswer = errors.New("its answer does not match the question")
)

// Lifeline is the master's end of the socket pair to the keeper of a worker. A question is a list
// of descriptor numbers; the answer has a status, the numbers that are open, and their
// descriptors. When this end is closed, the keeper exits. The worker has the other end too, but
// its messages are discarded: the kernel names the sender of each message. Several goroutines may
// ask.
type Lifeline struct {
	file   *os.File
	raw    syscall.RawConn
	keeper *os.Process // nil: not known yet
	asking sync.Mutex
}

// newLifelinePair returns the master's end and the worker's end of a new lifeline.
func newLifelinePair() (*Lifeline, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create lifeline of the keeper: %w", err)
	}
	if err := errors.Join(unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1), unix.SetNonblock(fds[0], true)); err != nil {
		ipc.Discard(fds[:]...)
		return nil, nil, fmt.Errorf("create lifeline of the keeper: %w", err)
	}
	return newLifeline(fds[0]), os.NewFile(uintptr(fds[1]), "lifeline"), nil
}

func newLifeline(fd int) *Lifeline {
	l := &Lifeline{file: os.NewFile(uintptr(fd), "lifeline")}
	l.raw, _ = l.file.SyscallConn() // it does not fail for an open file
	return l
}

// taken is a descriptor of a worker.
type taken struct {
	number int // descriptor number in the worker
	fd     int // copy for the caller; -1: this process has no free descriptor for it and the later ones
}

// take copies the open ones of a worker's descriptors, at most [ipc.MaxRights], in the order of
// numbers. The error is ErrKeeperGone if the keeper does not answer by the time until. After an
// error the keeper exits, and no descriptor of a late answer stays open.
func (l *Lifeline) take(numbers []int, until time.Time) ([]taken, error) {
	l.asking.Lock()
	defer l.asking.Unlock()
	// The keeper may have been stopped. If it has exited, the socket need not have an
	// end-of-file, because its worker may still have the other end open.
	if errors.Is(l.keeper.Signal(unix.SIGCONT), os.ErrProcessDone) {
		return nil, ErrKeeperGone
	}
	for {
		err := l.ask(numbers)
		var m message
		if err == nil {
			m, err = l.answer(until)
		}
		if err == nil && m.status == 0 {
			all, ok := m.match(numbers)
			if ok {
				return all, nil
			}
			err = errAnswer
		}
		ipc.Discard(m.fds...)
		if err == nil && !time.Now().Before(until) {
			err = m.status
		}
		if err != nil {
			l.end()
			if errors.Is(err, errSilent) || errors.Is(err, errAnswer) || m.status != 0 {
				return nil, fmt.Errorf("%w: %w", ErrKeeperGone, err)
			}
			return nil, ErrKeeperGone
		}
		// A living worker has closed a descriptor meanwhile, or too many are in sockets.
		time.Sleep(time.Millisecond)
	}
}

// shut shuts the lifeline down, so that the keeper exits.
func (l *Lifeline) shut() {
	_ = l.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// end makes the keeper exit, and closes descriptors that were sent too late.
func (l *Lifeline) end() {
	_ = l.raw.Control(func(fd uintptr) { ipc.Empty(int(fd)) })
}

// close ends the keeper like end, and closes the master's end.
func (l *Lifeline) close() {
	l.end() // otherwise the kernel closes what is left in the queue, which may wait
	l.file.Close()
}

func (l *Lifeline) ask(numbers []int) (err error) {
	var p []byte
	for _, n := range numbers {
		p = binary.NativeEndian.AppendUint32(p, uint32(n))
	}
	closed := l.raw.Control(func(fd uintptr) {
		_, err = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	return errors.Join(closed, err)
}

// answer waits for a message of the keeper. It discards a limited number of messages from other
// processes.
func (l *Lifeline) answer(until time.Time) (message, error) {
	const most = 1000
	for range most {
		m, err := l.receive(until)
		if err != nil || m.from == l.keeper.Pid {
			return m, err
		}
		ipc.Discard(m.fds...)
	}
	return message{}, errAnswer
}

// greeting waits for the greeting of a keeper, and returns its pid.
func (l *Lifeline) greeting(until time.Time) (pid int, err error) {
	m, err := l.receive(until)
	ipc.Discard(m.fds...)
	return m.from, err
}

// message is a message from the other end.
type message struct {
	from      int           // pid of the process that sent it
	status    syscall.Errno // error with which sending descriptors failed; 0: none
	numbers   []int
	fds       []int
	truncated bool // this process had no free descriptors for the rest
}

// match checks an answer against its question.
func (m *message) match(asked []int) (all []taken, ok bool) {
	if len(m.fds) > len(m.numbers) || len(m.fds) < len(m.numbers) && !m.truncated {
		return nil, false
	}
	for i, n := range m.numbers {
		at := slices.Index(asked, n)
		if at < 0 {
			return nil, false
		}
		asked = asked[at+1:]
		if all = append(all, taken{n, -1}); i < len(m.fds) {
			all[i].fd = m.fds[i]
		}
	}
	return all, true
}

// receive waits for a message. The error is io.EOF if no process has the other end open.
func (l *Lifeline) receive(until time.Time) (m message, err error) {
	var p [4 + 4*ipc.MaxRights]byte
	var got ipc.Received
	try := func(fd uintptr) bool {
		got, err = ipc.Receive(int(fd), p[:], unix.MSG_DONTWAIT)
		return err != unix.EAGAIN
	}
	waited := l.file.SetReadDeadline(until)
	if waited == nil {
		waited = l.raw.Read(try)
	}
	if errors.Is(waited, os.ErrDeadlineExceeded) { // there may be a message anyway, if this process was stopped for a while
		waited = l.raw.Control(func(fd uintptr) { try(fd) })
	}
	switch {
	case waited != nil:
		return m, waited
	case err == unix.EAGAIN:
		return m, errSilent
	case err != nil:
		return m, err
	case !got.HasSender:
		return m, io.EOF
	}
	m = message{from: got.Sender, fds: got.FDs, truncated: got.Truncated}
	m.decode(p[:got.N])
	return m, nil
}

// decode reads the content of a message.
func (m *message) decode(p []byte) {
	if len(p) == 0 || len(p)%4 != 0 {
		return // no keeper sends this; without numbers it matches no question
	}
	m.status = syscall.Errno(binary.NativeEndian.Uint32(p))
	for p = p[4:]; len(p) > 0; p = p[4:] {
		m.numbers = append(m.numbers, int(int32(binary.NativeEndian.Uint32(p))))
	}
}
