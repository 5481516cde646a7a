package observe

import (
	"fmt"
	"os"
	"sync"
	"time"

	"phalanx/internal/accesslog"
)

// Log is the access log of a pool, which settings may switch on and off while
// the workers go on: it knows the rings of all workers, and which file they are
// emptied into, if any. Its methods may be called from any goroutine.
type Log struct {
	doorbell int
	stdout   *os.File
	alert    func(string)

	mu       sync.Mutex
	path     string
	writer   *accesslog.Writer // nil: there is no access log
	rings    map[int]*accesslog.Ring
	lost     uint64 // lines, by writers that are gone
	reopened sync.WaitGroup
}

// flushTime is how long the file may take for the last lines.
const flushTime = time.Second

// NewLog returns a log that is off. The doorbell stays the caller's; lost is how
// many lines the program before has lost.
func NewLog(stdout *os.File, doorbell int, lost uint64, alert func(string)) *Log {
	return &Log{doorbell: doorbell, stdout: stdout, alert: alert, rings: make(map[int]*accesslog.Ring), lost: lost}
}

// Use makes path the file, "-" standard output and "" none. When the file cannot
// be opened, the one before stays.
func (l *Log) Use(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if path == l.path {
		return nil
	}
	var next *accesslog.Writer
	if path != "" {
		var err error
		next, err = accesslog.Open(accesslog.Config{Path: path, Stdout: l.stdout, Doorbell: l.doorbell, Alert: l.alert})
		if err != nil {
			return err
		}
	}
	l.end()
	l.path, l.writer = path, next
	if next != nil {
		for row, ring := range l.rings {
			next.Attach(row, ring)
		}
	}
	return nil
}

// end closes the file, with what there is to be written.
func (l *Log) end() {
	if l.writer == nil {
		return
	}
	if err := l.writer.Close(flushTime); err != nil {
		l.alert(err.Error())
	}
	l.lost += l.writer.Lost()
	l.writer = nil
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

// Reopen opens the file anew, without waiting for it: it may be a pipe.
func (l *Log) Reopen() {
	l.mu.Lock()
	writer := l.writer
	l.mu.Unlock()
	if writer == nil {
		return
	}
	l.reopened.Go(func() {
		if err := writer.Reopen(); err != nil {
			l.alert(err.Error() + "; the old file is used on")
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
	return l.lost + l.writer.Lost()
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
	l.end()
}
