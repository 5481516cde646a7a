package accesslog

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Log is the access log of a pool, which a reload may switch on and off while
// workers keep running: it knows the rings of all workers, and has one Writer for
// them from the first file on. Its methods are safe for concurrent use; none but
// Suspend and Close waits for the file.
type Log struct {
	doorbell int
	stdout   *os.File
	alert    func(string)

	mu       sync.Mutex
	path     string  // "": lines are discarded
	wanted   string  // argument of the last Use
	writer   *Writer // nil: no file so far
	rings    map[int]*Ring
	lost     uint64 // lines lost before an upgrade
	reopened sync.WaitGroup
}

// flushTime is the timeout for writing the last lines.
const flushTime = time.Second

// NewLog returns a log that is off. The doorbell stays the caller's; lost is the
// number of lines lost before an upgrade.
func NewLog(stdout *os.File, doorbell int, lost uint64, alert func(string)) *Log {
	return &Log{doorbell: doorbell, stdout: stdout, alert: alert, rings: make(map[int]*Ring), lost: lost}
}

// Try reports whether [Log.Use] would succeed, without switching.
func (l *Log) Try(path string) error {
	l.mu.Lock()
	same := path == l.path
	l.mu.Unlock()
	if same || path == "" {
		return nil
	}
	return Try(path, l.stdout)
}

// Use switches to the file at path; "-" is standard output and "" no log. If the
// file cannot be opened, the current one stays in use.
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
		l.writer, err = Open(Config{
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
	ring, err := NewRing(mem)
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

// Detach removes the ring of a row, whose memory may be unmapped afterwards. Its
// unread lines are kept and still written.
func (l *Log) Detach(row int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.rings, row); l.writer != nil {
		l.writer.Detach(row)
	}
}

// Reopen reopens the file, or retries an earlier Use that failed. It does not
// wait: the disk may not respond.
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
			l.alert(err.Error() + "; keeping the current access log")
		}
	})
}

// Lost returns the number of lines lost so far.
func (l *Log) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer == nil {
		return l.lost
	}
	return l.writer.Lost()
}

// Suspend writes all pending lines and stops reading the rings before an upgrade;
// Resume continues if the upgrade fails.
func (l *Log) Suspend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != nil {
		_ = l.writer.Suspend(flushTime) // what is left is in the rings
	}
}

// Resume continues after Suspend.
func (l *Log) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != nil {
		l.writer.Resume()
	}
}

// Close writes all pending lines and closes the file.
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
