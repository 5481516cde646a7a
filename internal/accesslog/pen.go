package accesslog

import "sync"

// Pen is the worker's side of the access log: it formats entries and writes them
// into the worker's ring. Its methods are safe for concurrent use and never wait
// for the Writer.
type Pen struct {
	mu        sync.Mutex
	formatter Formatter
	ring      *Ring
	doorbell  int
	line      []byte
}

// NewPen returns a pen that writes lines of a format into a ring and [Wake]s its
// reader with the doorbell, a descriptor that stays the caller's.
func NewPen(f Format, r *Ring, doorbell int) *Pen {
	return &Pen{formatter: Formatter{Format: f}, ring: r, doorbell: doorbell}
}

// NamesPorts reports whether lines have the port that a client has come to.
func (p *Pen) NamesPorts() bool { return p.formatter.Format == VhostCombined }

// Write writes the line of an entry. If the ring is full the line is dropped and
// counted.
func (p *Pen) Write(e *Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = p.formatter.Append(p.line[:0], e)
	p.ring.Write(p.line)
	if p.ring.Due() {
		Wake(p.doorbell)
	}
}
