package snapshot

import (
	"fmt"
	"os"
	"sync"
	"time"

	"phalanx/internal/accesslog"
)

// Log is the access log of a pool, which settings may switch on and off while
// the workers go on: it knows the rings of all workers, and has one Writer for
// them as soon as there has been a file. Its methods may be called from any
// goroutine; none but Suspend and Close waits for the file.
type Log struct {
	doorbell int
	stdout   *os.File
	alert    func(string)

	mu       sync.Mutex
	path     string            // "": what is written is thrown away
	wanted   string            // what Use was last told
	writer   *accesslog.Writer // nil: there has been no file yet
	rings    map[int]*accesslog.Ring
	lost     uint64 // lines, by the program before
	reopened sync.WaitGroup
}

// flushTime is how long the file may take for the last lines.
const flushTime = time.Second

// NewLog returns a log that is off. The doorbell stays the caller's; lost is how
// many lines the program before has lost.
func NewLog(stdout *os.File, doorbell int, lost uint64, alert func(string)) *Log {
	return &Log{doorbell: doorbell, stdout: stdout, alert: alert, rings: make(map[int]*accesslog.Ring), lost: lost}
}

// Try reports why [Log.Use] would not do.
func (l *Log) Try(path string) error {
	l.mu.Lock()
	same := path == l.path
	l.mu.Unlock()
	if same || path == "" {
		return nil
	}
	return accesslog.Try(path, l.stdout)
}

// Use makes path the file, "-" standard output and "" none. When the file cannot
// be opened, the one before stays.
func (l *Log) Use(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.use(path)
}

func (l *Log) use(path string) error {
	if l.wanted = path; path == l.path {
		return nil
	}
	var err error
	if l.writer == nil {
		l.writer, err = accesslog.Open(accesslog.Config{
			Path: path, Stdout: l.stdout, Doorbell: l.doorbell, Rings: l.rings, Lost: l.lost, Alert: l.alert,
		})
	} else {
		err = l.writer.Move(path) // "" discards what workers of the settings before still write
	}
	if err == nil {
		l.path = path
	}
	return err
}

// Attach adds the ring of a row.
func (l *Log) Attach(row int, mem []byte) error {
	ring, err := accesslog.NewRing(mem)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rings[row] = ring; l.writer != nil {
		l.writer.Attach(row, ring)
	}
	return nil
}

// Detach takes the ring of a row away, whose memory may be unmapped then. Its
// lines are on their way into the file.
func (l *Log) Detach(row int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.rings, row); l.writer != nil {
		l.writer.Detach(row)
	}
}

// Reopen opens the file anew, or at last, without waiting for it: it may be on a
// disk that does not answer.
func (l *Log) Reopen() {
	l.reopened.Go(func() {
		l.mu.Lock()
		writer, wanted, missing := l.writer, l.wanted, l.wanted != l.path
		l.mu.Unlock()
		var err error
		switch {
		case missing:
			err = l.Use(wanted)
		case writer != nil:
			err = writer.Reopen()
		}
		if err != nil {
			l.alert(err.Error() + "; the access log goes on as it was")
		}
	})
}

// Lost is how many lines have been lost so far.
func (l *Log) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer == nil {
		return l.lost
	}
	return l.writer.Lost()
}

// Suspend writes what there is and leaves the rings alone, for another program;
// Resume goes on if that did not come.
func (l *Log) Suspend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != nil {
		_ = l.writer.Suspend(flushTime) // what is left is in the rings
	}
}

// Resume is for when there was no execve after all.
func (l *Log) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != nil {
		l.writer.Resume()
	}
}

// Close writes what there is and closes the file.
func (l *Log) Close() {
	l.reopened.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer == nil {
		return
	}
	if err := l.writer.Close(flushTime); err != nil {
		l.alert(err.Error())
	}
	l.lost, l.writer = l.writer.Lost(), nil
}
