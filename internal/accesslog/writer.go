package accesslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Config configures a [Writer]. Fields without a documented zero value are required.
type Config struct {
	// Path is the file, created with mode 0640 and only ever appended to; a
	// FIFO or a device will do. "-" is Stdout, and "" discards every line.
	Path   string
	Stdout *os.File

	// Doorbell is a [NewDoorbell], with which workers [Wake] the Writer. It stays
	// the caller's.
	Doorbell int

	// Rings are attached before anything is written: those of workers from
	// before an upgrade, so that a half-written line is completed first. nil: none.
	Rings map[int]*Ring

	// Lost is the number of lines lost before an upgrade, where counting continues.
	Lost uint64

	// Alert receives what an operator has to know, one line at most once a minute.
	// It is called on the Writer's goroutine and must not call the Writer's methods
	// except Lost. nil: alerts are discarded.
	Alert func(text string)

	now func() time.Time // between alerts; time.Now, if nil
}

// Writer writes the lines of all rings to a file. Its methods are safe for
// concurrent use, except that Suspend, Resume and Close must not overlap.
type Writer struct {
	cfg  Config
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // for what follows; never held during a write
	path    string     // Config.Path, or the last of Move
	sources []*source
	turn    int     // counts batches; selects the first source of the next
	kept    int     // bytes of detached rings
	next    *outlet // will replace out
	order   *order  // for the goroutine
	doing   *order  // taken by the goroutine; until Resume
	closed  bool
	full    uint64 // lines dropped by full rings
	dropped uint64 // lines dropped by the Writer
	batch   batch  // its lines are the goroutine's

	// The goroutine's.
	out      *outlet
	told     time.Time // time of the last alert
	toldFull uint64    // value of full at the last alert about it
}

// order is a request of Close or Suspend.
type order struct {
	until  time.Time
	last   bool
	answer chan error // has room for it
}

// Open opens the file and starts the goroutine.
func Open(cfg Config) (*Writer, error) {
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.Alert == nil {
		cfg.Alert = func(string) {}
	}
	w := &Writer{cfg: cfg, path: cfg.Path, done: make(chan struct{}), dropped: cfg.Lost}
	var err error
	if w.out, err = openOutlet(cfg.Path, cfg.Stdout); err != nil {
		return nil, err
	}
	w.out.beginLine(cfg.Path)
	for id, r := range cfg.Rings {
		w.Attach(id, r)
	}
	go w.run()
	return w, nil
}

// Try checks that a file can be opened for writing, and closes it.
func Try(path string, stdout *os.File) error {
	o, err := openOutlet(path, stdout)
	if err == nil {
		o.Close()
	}
	return err
}

// Attach adds a ring, including the lines already in it. An id already attached is
// detached first. No ring may be attached twice.
func (w *Writer) Attach(id int, r *Ring) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detach(id)
	s := &source{id: id, ring: r}
	if a, _ := r.Readable(); len(a) > 0 && r.torn() {
		// The program before the upgrade wrote half a line into a pipe. The other
		// half comes next.
		w.sources, w.turn = slices.Insert(w.sources, 0, s), 0
	} else {
		w.sources = append(w.sources, s)
	}
	r.ringAt(1)
	w.wake()
}

// Detach removes a ring whose worker has exited. Its unread lines are copied out
// and still written; Detach does not wait for that. An id that is not attached is
// not an error.
func (w *Writer) Detach(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detach(id)
	w.wake()
}

// maxKept limits the bytes of detached rings kept while they cannot be written.
const maxKept = 8 << 20

func (w *Writer) detach(id int) {
	i := slices.IndexFunc(w.sources, func(s *source) bool { return s.ring != nil && s.id == id })
	if i < 0 {
		return
	}
	s := w.sources[i]
	first, second := s.ring.Readable()
	rest := slices.Concat(first, second)
	s.ring.Consume(len(rest))
	w.full += s.ring.newlyLost()
	if w.kept+len(rest) > maxKept {
		keep := min(w.batch.inFlight(s), len(rest))
		w.dropped += uint64(lines(rest[keep:]))
		rest = rest[:keep]
	}
	w.kept += len(rest)
	s.ring, s.rest = nil, rest
}

// Reopen opens the path again, after the file was renamed: lines logged from now on
// go to the new file. If it cannot be opened, the old file stays in use. Standard
// output is not reopened.
func (w *Writer) Reopen() error {
	w.mu.Lock()
	path := w.path
	w.mu.Unlock()
	if path == "-" {
		return nil
	}
	return w.Move(path)
}

// Move switches to another file, as Reopen does to the same path.
func (w *Writer) Move(path string) error {
	next, err := openOutlet(path, w.cfg.Stdout)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if !next.same(w.out) {
		next.beginLine(path)
	}
	unused := w.next
	if w.closed {
		unused, err = next, fmt.Errorf("open access log %q: %w", path, os.ErrClosed)
	} else {
		w.path, w.next = path, next
		w.wake()
	}
	w.mu.Unlock()
	if unused != nil {
		unused.Close()
	}
	return err
}

// Lost returns the number of lines lost so far, by the Writer and by all rings ever
// attached. It never decreases.
func (w *Writer) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countLost()
	return w.full + w.dropped
}

// countLost adds the lines that rings have dropped.
func (w *Writer) countLost() {
	for _, s := range w.sources {
		if s.ring != nil {
			w.full += s.ring.newlyLost()
		}
	}
}

// Suspend writes pending lines, within the timeout, and then stops reading the
// rings, for an execve(2). An error says why some lines are still in their rings,
// where the next reader finds them.
func (w *Writer) Suspend(timeout time.Duration) error { return w.command(timeout, false) }

// Resume continues after Suspend, when the execve has failed.
func (w *Writer) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order, w.doing = nil, nil
	w.wake()
}

// Close writes pending lines, within the timeout, and closes the file. An error says
// why some lines are still in their rings. The goroutine has ended on return, unless
// it is stuck in the kernel on a disk that does not respond.
func (w *Writer) Close(timeout time.Duration) error {
	err := w.command(timeout, true)
	if errors.Is(err, errSilent) || errors.Is(err, os.ErrClosed) {
		return err
	}
	<-w.done
	return err
}

var errSilent = errors.New("the disk does not respond")

// slack is added to the timeout of an order before the disk counts as dead.
const slack = 250 * time.Millisecond

func (w *Writer) command(timeout time.Duration, last bool) error {
	o := &order{until: time.Now().Add(timeout), last: last, answer: make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fmt.Errorf("close access log: %w", os.ErrClosed)
	}
	w.order = o
	w.wake()
	w.closed = last
	w.mu.Unlock()
	timer := time.NewTimer(timeout + slack)
	defer timer.Stop()
	select {
	case err := <-o.answer:
		return err
	case <-timer.C:
		w.abandon()
		return fmt.Errorf("write access log: %w", errSilent)
	}
}

// abandon takes the rings from a goroutine stuck in the kernel: when it returns,
// they may be unmapped.
func (w *Writer) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.ring != nil {
			w.full += s.ring.newlyLost()
		}
		w.dropped += uint64(lines(s.rest))
		s.ring, s.rest = nil, nil
	}
}

// wake rings the doorbell. It may be closed once the Writer is.
func (w *Writer) wake() {
	if !w.closed {
		Wake(w.cfg.Doorbell)
	}
}
