package logging

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Writer writes lines to a file without ever waiting for its reader. Bytes that the file
// does not accept now are written later, and lines that do not fit into its [Buffer] are
// dropped and counted. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	buffer *Buffer
	late   bool          // the goroutine retries: bytes are left in the buffer
	closed chan struct{} // ends the goroutine
	writer sync.WaitGroup
}

// NewWriter returns a writer to the file, which must stay open. It logs the number of
// dropped lines in the given format, see [Alerts].
func NewWriter(file *os.File, format string) *Writer {
	return NewWriterBy(file, func(to io.Writer) zerolog.Logger { return Alerts(file, format, Options{Through: to}) })
}

// NewWriterBy is NewWriter with another logger for the number of dropped lines.
func NewWriterBy(file *os.File, alerts func(to io.Writer) zerolog.Logger) *Writer {
	w := &Writer{buffer: NewBuffer(file), closed: make(chan struct{})}
	log := alerts(w.buffer)
	w.buffer.Alert = func(line string) { log.Warn().Msg(line) }
	return w
}

// Write adds lines, the last with a newline, and returns at once.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.buffer.Write(line)
	if !w.late && w.flush() {
		w.late = true
		w.writer.Go(w.retry)
	}
	return n, err
}

// flush writes what the file accepts now, and reports whether something is left.
func (w *Writer) flush() bool {
	for range 2 { // the second time, the line about dropped lines
		if !w.buffer.Flush() {
			return false
		}
	}
	return true
}

func (w *Writer) retry() {
	for w.waiting() {
		select {
		case <-time.After(w.pause()):
		case <-w.closed:
			return
		}
	}
}

func (w *Writer) waiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = w.flush()
	return w.late
}

// pause returns the interval between attempts while the reader is slow.
func (w *Writer) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.Retry()
}

// Late reports whether lines are left in the buffer because the reader is slow.
func (w *Writer) Late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// Leave returns the unwritten bytes and the number of lines dropped, for an upgraded master.
// Nothing is written, and Write blocks, until resume is called.
func (w *Writer) Leave() (unwritten []byte, dropped int, resume func()) {
	w.mu.Lock()
	return w.buffer.lines[w.buffer.sent:], w.buffer.dropped, w.mu.Unlock
}

// Continue takes over what Leave returned before an upgrade.
func (w *Writer) Continue(unwritten []byte, dropped int) {
	w.mu.Lock()
	w.buffer.dropped += dropped
	w.mu.Unlock()
	_, _ = w.Write(unwritten) // which never fails
}

// Close writes what is left, for at most a second.
func (w *Writer) Close() {
	close(w.closed)
	w.writer.Wait()
	w.buffer.Close()
}
