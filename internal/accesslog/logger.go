package accesslog

import "sync"

// Logger is the worker's side of the access log: it formats entries and writes them
// into the worker's ring. Its methods are safe for concurrent use and never wait
// for the Writer.
type Logger struct {
	mu        sync.Mutex
	formatter Formatter
	ring      *Ring
	doorbell  int
	line      []byte
}

// NewLogger returns a logger that writes lines of a format into a ring and [Wake]s its
// reader through doorbell, a descriptor that the caller still owns.
func NewLogger(f Format, r *Ring, doorbell int) *Logger {
	return &Logger{formatter: Formatter{Format: f}, ring: r, doorbell: doorbell}
}

// NeedsPort reports whether the format has the port of the server.
func (l *Logger) NeedsPort() bool { return l.formatter.Format == VhostCombined }

// Write writes the line of an entry. If the ring is full the line is dropped and
// counted.
func (l *Logger) Write(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = l.formatter.Append(l.line[:0], e)
	l.ring.Write(l.line)
	if l.ring.Due() {
		Wake(l.doorbell)
	}
}
