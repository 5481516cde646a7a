package accesslog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a Writer does. The fields without a comment on their zero
// value are needed.
type Config struct {
	// Path is the file, created with mode 0640 and only ever appended to; a
	// FIFO or a device will do. "-" is Stdout, and "" discards every line.
	Path   string
	Stdout *os.File

	// Doorbell is that of the program before, which stays the caller's
	// ([NewDoorbell]). 0: Open makes one and Close closes it.
	Doorbell int

	// Rings are attached before anything is written: those of the workers
	// that the program before has left, so that half of a line is followed
	// by its other half. nil: none.
	Rings map[int]*Ring

	// Lost is how many lines the program before has lost, so that the
	// Writer's count goes on. 0: none.
	Lost uint64

	// Alert is told what an administrator has to know, in one line, at most
	// once a minute. It is called on the Writer's goroutine, and must not
	// call the Writer's methods but Lost. nil: nobody is told.
	Alert func(text string)

	now func() time.Time // between alerts; time.Now, if nil
}

// Writer empties rings into a file. Its methods may be called by any goroutine,
// but Suspend, Resume and Close by one at a time.
type Writer struct {
	cfg      Config
	doorbell int
	done     chan struct{} // the goroutine has ended

	mu      sync.Mutex // for what follows; never held while something is written
	path    string     // Config.Path, or where Move has gone
	sources []*source
	turn    int     // counts batches; says which source is the first of the next
	kept    int     // bytes of detached rings
	next    *outlet // takes the place of out
	order   *order  // for the goroutine
	doing   *order  // that it has taken; until Resume
	closed  bool
	full    uint64 // lines that rings have lost
	dropped uint64 // lines that the Writer has lost
	batch   batch  // its lines are the goroutine's

	// The goroutine's.
	out      *outlet
	told     time.Time // of the last alert
	toldFull uint64    // what full was when somebody was told
}

// order is what Close and Suspend want.
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
	w := &Writer{cfg: cfg, path: cfg.Path, doorbell: cfg.Doorbell, done: make(chan struct{}), dropped: cfg.Lost}
	var err error
	if w.out, err = openOutlet(cfg.Path, cfg.Stdout); err != nil {
		return nil, err
	}
	w.out.beginLine(cfg.Path)
	if cfg.Doorbell == 0 {
		if w.doorbell, err = NewDoorbell(); err != nil {
			w.out.close()
			return nil, err
		}
	}
	for id, r := range cfg.Rings {
		w.Attach(id, r)
	}
	go w.run()
	return w, nil
}

func openOutlet(path string, stdout *os.File) (*outlet, error) {
	switch path {
	case "":
		return discard(), nil
	case "-":
		return openStdout(stdout)
	}
	return openPath(path)
}

// Try reports why a file could not be written to: it opens and closes it.
func Try(path string, stdout *os.File) error {
	o, err := openOutlet(path, stdout)
	if err == nil {
		o.close()
	}
	return err
}

// Doorbell is the descriptor with which workers [Wake] the Writer. It goes on to
// belong to the Writer, or to who has given it.
func (w *Writer) Doorbell() int { return w.doorbell }

// Attach adds a ring, with the lines that are in it already. An id that is
// attached is detached first. No ring may be attached twice.
func (w *Writer) Attach(id int, r *Ring) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detach(id)
	s := &source{id: id, ring: r}
	if a, _ := r.Readable(); len(a) > 0 && r.torn() {
		// The program before has written half of a line into a pipe. The
		// other half comes next.
		w.sources, w.turn = slices.Insert(w.sources, 0, s), 0
	} else {
		w.sources = append(w.sources, s)
	}
	r.ringAt(1)
	w.wake()
}

// Detach takes a ring away that nobody writes any more. Its lines are no longer
// in it when Detach returns, but on their way into the file; it never waits for
// that. An id that is not attached is no error.
func (w *Writer) Detach(id int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detach(id)
	w.wake()
}

// maxKept is how many bytes of detached rings are kept when they cannot be
// written.
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
	w.full += s.ring.tell()
	if w.kept+len(rest) > maxKept {
		keep := min(w.batch.inFlight(s), len(rest))
		w.dropped += uint64(lines(rest[keep:]))
		rest = rest[:keep]
	}
	w.kept += len(rest)
	s.ring, s.rest = nil, rest
}

// Reopen opens the path anew: lines that are written into a ring from now on come
// there. It is for a file that was renamed. When that is not possible, the old
// file is used on. Standard output stays what it is.
func (w *Writer) Reopen() error {
	w.mu.Lock()
	path := w.path
	w.mu.Unlock()
	if path == "-" {
		return nil
	}
	return w.Move(path)
}

// Move goes on with another file, as Reopen does with the same.
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
		unused.close()
	}
	return err
}

// Lost returns how many lines have been lost, by the Writer and by all rings that
// were ever attached. It never goes back.
func (w *Writer) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear()
	return w.full + w.dropped
}

// hear adds what rings have lost.
func (w *Writer) hear() {
	for _, s := range w.sources {
		if s.ring != nil {
			w.full += s.ring.tell()
		}
	}
}

// Suspend writes what there is, for so long at most, and then leaves the rings
// alone, as execve(2) wants it. An error says why some lines are still in their
// rings; who reads these next goes on with them.
func (w *Writer) Suspend(timeout time.Duration) error { return w.command(timeout, false) }

// Resume goes on after Suspend, if there was no execve after all.
func (w *Writer) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order, w.doing = nil, nil
	w.wake()
}

// Close writes what there is, for so long at most, and closes the file. An error
// says why some lines are still in their rings. The goroutine has ended then, but
// if the kernel does not let it: a disk that does not answer.
func (w *Writer) Close(timeout time.Duration) error {
	err := w.command(timeout, true)
	if errors.Is(err, errSilent) || errors.Is(err, os.ErrClosed) {
		return err
	}
	<-w.done
	if w.cfg.Doorbell == 0 {
		unix.Close(w.doorbell)
	}
	return err
}

var errSilent = errors.New("the disk does not answer")

// patience is how much longer than it may take an answer is waited for.
const patience = 250 * time.Millisecond

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
	timer := time.NewTimer(timeout + patience)
	defer timer.Stop()
	select {
	case err := <-o.answer:
		return err
	case <-timer.C:
		w.abandon()
		return fmt.Errorf("write access log: %w", errSilent)
	}
}

// abandon takes the rings from a goroutine that the kernel does not let go on: it
// must not touch them when it does, for they may be gone by then.
func (w *Writer) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.ring != nil {
			w.full += s.ring.tell()
		}
		w.dropped += uint64(lines(s.rest))
		s.ring, s.rest = nil, nil
	}
}

// wake rings for the goroutine. The doorbell may be closed once the Writer is.
func (w *Writer) wake() {
	if !w.closed {
		Wake(w.doorbell)
	}
}
