package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/human"
)

// Config configures a [Writer].
type Config struct {
	Stdout   *os.File // the file "-"; nil: standard output is closed
	Doorbell Doorbell // with which workers [Wake] the Writer; the caller closes it
	Lost     uint64   // lines lost before an upgrade

	// Alert receives what an operator has to know, in one line. It must not call the
	// Writer's methods except Lost.
	Alert func(text string)

	now   func() time.Time // for alerts; nil: time.Now
	slow  time.Duration    // how long a write may take before an alert; 0: 5 s
	slack time.Duration    // how long after the timeout of an order the disk counts as dead; 0: 250 ms
}

// Writer writes the lines of all rings to a file, which a reload may switch on and
// off while workers keep running. Its methods are safe for concurrent use, except
// that Suspend, Resume and Close must not overlap. Only Suspend and Close wait for the
// disk.
type Writer struct {
	cfg      Config
	done     chan struct{}  // closed when the goroutine has ended
	reopened sync.WaitGroup // of Reopen

	mu      sync.Mutex // guards the fields up to told; never held during a write
	path    string     // of the file; "": lines are discarded
	wanted  string     // argument of the last Use
	running bool       // the goroutine runs: there has been a file
	sources []*source
	turn    int     // counts batches; selects the first source of the next
	kept    int     // bytes of detached rings
	next    *outlet // will replace out
	order   *order  // for the goroutine
	doing   *order  // taken by the goroutine; until Resume
	closed  bool
	full    uint64      // lines dropped by full rings
	dropped uint64      // lines dropped by the Writer
	batch   batch       // its lines are the goroutine's
	fault   string      // why the last write failed; "": it succeeded
	writing time.Time   // when the write under way began; zero: there is none
	watch   *time.Timer // calls silent during a write
	told    time.Time   // time of the last alert

	// Used by the goroutine only.
	out         *outlet
	rung        time.Time // when the doorbell woke it last
	alertedFull uint64    // value of full at the last alert about it
	hung        bool      // the disk has not responded for long since then
}

// order is a request of Close or Suspend.
type order struct {
	until  time.Time
	last   bool
	result chan error // buffered
}

// New returns a Writer without a file.
func New(cfg Config) *Writer {
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.slow == 0 {
		cfg.slow = slow
	}
	if cfg.slack == 0 {
		cfg.slack = 250 * time.Millisecond
	}
	return &Writer{cfg: cfg, done: make(chan struct{}), dropped: cfg.Lost}
}

// Try checks that a file can be opened for writing, and closes it. It does not create a missing file:
// options are often checked by another user, and the user of the server could then not write to it.
func Try(path string, stdout *os.File) error {
	if _, err := os.Stat(path); path != "" && path != "-" && errors.Is(err, fs.ErrNotExist) {
		if err := unix.Faccessat(unix.AT_FDCWD, filepath.Dir(path), unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			return badPath(path, err)
		}
		return nil
	}
	o, err := openOutlet(path, stdout)
	if err == nil {
		o.Close()
	}
	return err
}

// Try reports whether [Writer.Use] would succeed, without switching.
func (w *Writer) Try(path string) error {
	w.mu.Lock()
	same := path == w.path
	w.mu.Unlock()
	if same {
		return nil
	}
	return Try(path, w.cfg.Stdout)
}

// Use switches to the file at path, which is created with mode 0640 and only ever
// appended to. It may be a FIFO or a device. "-" is standard output, and "" discards
// every line. If the file cannot be opened, the current one stays in use.
func (w *Writer) Use(path string) error {
	w.mu.Lock()
	w.wanted = path
	same := path == w.path
	w.mu.Unlock()
	if same {
		return nil
	}
	return w.move(path)
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
	if s.ring, s.rest = nil, rest; !w.running {
		w.prune() // run would
	}
}

// Reopen opens the path again, after the file was renamed, or retries an earlier Use
// that failed: lines logged from now on go to the new file. If it cannot be opened,
// the old file stays in use. Reopen does not wait: the disk may not respond.
func (w *Writer) Reopen() {
	w.reopened.Go(func() {
		if err := w.reopen(); err != nil {
			w.cfg.Alert(err.Error() + "; keeping the current access log")
		}
	})
}

func (w *Writer) reopen() error {
	w.mu.Lock()
	path, wanted := w.path, w.wanted
	w.mu.Unlock()
	if wanted == path && (path == "" || path == "-") {
		return nil
	}
	return w.move(wanted)
}

// move switches to another file, or opens the same path again.
func (w *Writer) move(path string) error {
	next, err := openOutlet(path, w.cfg.Stdout)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if !w.running || !next.same(w.out) {
		next.beginLine(path)
	}
	unused := w.next
	switch {
	case w.closed:
		unused, err = next, fmt.Errorf("open access log %q: %w", path, os.ErrClosed)
	case path != w.wanted:
		unused = next // Use was called again meanwhile
	case !w.running:
		w.path, w.out, w.running = path, next, true
		go w.run()
	default:
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

// Left returns the number of unwritten lines that only this process has, because their workers
// have exited: an upgrade loses them. Other lines are in their rings.
func (w *Writer) Left() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left()
}

// Fault returns why lines cannot be written at the moment, in one line; "" if they can.
func (w *Writer) Fault() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	fault := w.fault
	if w.hangs() {
		fault = w.trouble(errSilent)
	}
	if fault == "" {
		return ""
	}
	w.countLost()
	return fault + lost(w.full+w.dropped)
}

func lost(n uint64) string {
	if n == 0 {
		return "; no line is lost yet"
	}
	return "; " + human.Plural(n, "line", "lines") + " lost so far"
}

// countLost adds the lines that rings have dropped.
func (w *Writer) countLost() {
	for _, s := range w.sources {
		if s.ring != nil {
			w.full += s.ring.newlyLost()
		}
	}
}

// flushTime is the timeout for writing the last lines.
const flushTime = time.Second

// Suspend writes pending lines, and then stops reading the rings, for an execve(2).
// Lines that cannot be written in time stay in the rings for the next reader.
func (w *Writer) Suspend() { _ = w.suspend(flushTime) }

func (w *Writer) suspend(timeout time.Duration) error { return w.command(timeout, false) }

// Resume continues after Suspend, when the execve has failed.
func (w *Writer) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order, w.doing = nil, nil
	w.wake()
}

// Close writes pending lines and closes the file. Lines that cannot be written in time
// stay in the rings. The goroutines have ended when Close returns, unless one is stuck in the
// kernel on a disk that does not respond.
func (w *Writer) Close() {
	w.awaitReopen()
	if err := w.close(flushTime); err != nil {
		w.cfg.Alert(err.Error())
	}
}

// awaitReopen waits for Reopen, for at most flushTime.
func (w *Writer) awaitReopen() {
	done := make(chan struct{})
	go func() { // ends with Reopen
		w.reopened.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(flushTime):
	}
}

// close returns an error if lines are left in the rings.
func (w *Writer) close(timeout time.Duration) error {
	err := w.command(timeout, true)
	if !errors.Is(err, errSilent) && !errors.Is(err, os.ErrClosed) {
		<-w.done
	}
	return err
}

var errSilent = errors.New("the disk does not respond")

func (w *Writer) command(timeout time.Duration, last bool) error {
	o := &order{until: time.Now().Add(timeout), last: last, result: make(chan error, 1)}
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return fmt.Errorf("close access log: %w", os.ErrClosed)
	case !w.running:
		if w.closed = last; last {
			close(w.done)
		}
		w.mu.Unlock()
		return nil
	}
	w.order = o
	w.wake()
	w.closed = last
	w.mu.Unlock()
	timer := time.NewTimer(timeout + w.cfg.slack)
	defer timer.Stop()
	select {
	case err := <-o.result:
		return err
	case <-timer.C:
		if last {
			w.abandon()
		}
		return fmt.Errorf("write access log: %w", errSilent)
	}
}

// abandon takes the rings away from a goroutine that is stuck in the kernel at Close: the
// rings may be unmapped by the time it continues.
func (w *Writer) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.countLost()
	for _, s := range w.sources {
		w.dropped += uint64(lines(s.rest))
		s.ring, s.rest = nil, nil
	}
	if w.watch != nil {
		w.watch.Stop()
	}
}

// wake rings the doorbell, unless the Writer is closed: the doorbell may be closed too.
func (w *Writer) wake() {
	if !w.closed {
		Wake(w.cfg.Doorbell.Out)
	}
}
