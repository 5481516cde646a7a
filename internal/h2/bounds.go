package h2

import "sync/atomic"

// Bounds limits the descriptors and the memory that the streams of all connections use, so
// that a client that keeps many streams open cannot exhaust them. One open file per connection
// is not counted. All goroutines share one Bounds.
type Bounds struct {
	most   int64        // limit of files
	files  atomic.Int64 // open files, not counting one for each connection
	memory atomic.Int64 // bytes of request heads and of generated content
}

const (
	// maxMemory is the limit of Bounds.memory in bytes. Above it a connection that uses fairMemory
	// gets no more streams.
	maxMemory = 64 << 20
	// fairMemory is about what an HTTP/1.1 connection may use.
	fairMemory = 128 << 10
)

// NewBounds returns bounds that allow files open files, not counting one for each connection.
func NewBounds(files int) *Bounds { return &Bounds{most: int64(files)} }

// Files returns the number of open files, not counting one for each connection.
func (b *Bounds) Files() int { return int(b.files.Load()) }

// weigh updates the counted memory of a stream. The connection's share does not have the capacity
// that a stream of another connection may have left.
func (c *Conn) weigh(s *stream) {
	if n := cap(s.head) + cap(s.pending); n != s.weight {
		c.cfg.bounds.memory.Add(int64(n - s.weight))
		s.weight = n
	}
	used := len(s.head) + len(s.pending)
	c.used += used - s.used
	s.used = used
}

// crowded reports whether the connection must not open another stream because memory is short and it
// has a large share.
func (c *Conn) crowded() bool {
	return c.used > fairMemory && c.cfg.bounds.memory.Load() > maxMemory
}

// full reports whether the connection must not open another file because the limit is reached. It may
// always have one.
func (c *Conn) full() bool {
	return c.files > 0 && c.cfg.bounds.files.Load() >= c.cfg.bounds.most
}

// postpone makes a request wait until a response of any connection closes its file, if the connection
// is full. It reports whether the request waits.
func (c *Conn) postpone(s *stream) bool {
	if !c.full() {
		return false
	}
	s.postponed, c.postponed = true, c.postponed+1
	c.schedule(s)
	return true
}

// fileOpened counts the open file of a response, if there is one.
func (c *Conn) fileOpened(s *stream) {
	if f := s.reply.Segment().File; f == nil || f.Fd() < 0 {
		return
	}
	s.opened = true
	if c.files++; c.files > 1 {
		c.cfg.bounds.files.Add(1)
	}
}

// fileClosed undoes fileOpened.
func (c *Conn) fileClosed() {
	if c.files--; c.files > 0 {
		c.cfg.bounds.files.Add(-1)
	}
}

// resume continues postponed requests, unless the connection is still full.
func (c *Conn) resume() {
	if c.postponed == 0 || c.full() {
		return
	}
	for _, s := range c.streams {
		if s.postponed {
			s.postponed, c.postponed = false, c.postponed-1
			c.schedule(s)
		}
	}
}
