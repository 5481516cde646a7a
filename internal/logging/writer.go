package logging

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Writer writes lines to a file without ever waiting for its reader: what one
// does not take now is written as soon as it does, and what is more than a
// [Buffer] holds is dropped and counted. It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	buffer *Buffer
	late   bool          // a goroutine writes what was not taken
	closed chan struct{} // ends it
	writer sync.WaitGroup
}

// retryTime is the interval of attempts while the reader does not read.
const retryTime = 10 * time.Millisecond

// NewWriter returns a writer to the file, which must stay open. A line in the format
// reports how many lines were dropped, see [Alerts].
func NewWriter(file *os.File, format string) *Writer {
	return NewWriterBy(file, func(to io.Writer) zerolog.Logger { return Alerts(file, format, Options{Through: to}) })
}

// NewWriterBy is NewWriter with another logger for that line.
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

// flush writes what is taken now, and reports whether something is left.
func (w *Writer) flush() bool {
	for range 2 { // the second time the line about dropped ones
		if !w.buffer.Flush() {
			return false
		}
	}
	return true
}

func (w *Writer) retry() {
	tick := time.NewTicker(retryTime)
	defer tick.Stop()
	for w.waiting() {
		select {
		case <-tick.C:
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

// Late reports whether the reader has not taken all lines yet.
func (w *Writer) Late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.late
}

// Leave returns what was not taken yet and how many lines were dropped, for a program
// that goes on with the file. Nothing is written, and Write waits, until resume.
func (w *Writer) Leave() (unwritten []byte, dropped int, resume func()) {
	w.mu.Lock()
	return w.buffer.lines[w.buffer.sent:], w.buffer.dropped, w.mu.Unlock
}

// Continue begins with what the program before has left.
func (w *Writer) Continue(unwritten []byte, dropped int) {
	w.mu.Lock()
	w.buffer.dropped += dropped
	w.mu.Unlock()
	_, _ = w.Write(unwritten) // which never fails
}

// Close gives the reader a second to take what is left.
func (w *Writer) Close() {
	close(w.closed)
	w.writer.Wait()
	w.buffer.Close()
}
