package h2

import "sync/atomic"

// Bounds bound what the streams of all connections hold beside one for each: a client with
// many streams, which it does not let end, would else take the descriptors and the memory of
// all others. They are for all goroutines.
type Bounds struct {
	most   int64        // files
	files  atomic.Int64 // open, beside one for each connection
	memory atomic.Int64 // bytes of requests' heads, and of content that is made
}

// maxMemory is how much of that there may be before a connection gets only one stream.
const maxMemory = 64 << 20

// NewBounds returns bounds with so many files.
func NewBounds(files int) *Bounds { return &Bounds{most: int64(files)} }

// Files returns how many are open.
func (b *Bounds) Files() int { return int(b.files.Load()) }

// weigh counts the memory of a stream anew.
func (c *Conn) weigh(s *stream) {
	if n := cap(s.head) + cap(s.pending); n != s.weight {
		c.cfg.bounds.memory.Add(int64(n - s.weight))
		s.weight = n
	}
}

// crowded reports whether the connection is to have no stream more.
func (c *Conn) crowded() bool {
	return len(c.streams) > 0 && c.cfg.bounds.memory.Load() > maxMemory
}

// postpone has a request wait for a response of its connection that has a file open, if
// there are too many of those.
func (c *Conn) postpone(s *stream) bool {
	if c.files == 0 || c.cfg.bounds.files.Load() < c.cfg.bounds.most {
		return false
	}
	s.postponed, c.postponed = true, c.postponed+1
	c.schedule(s)
	return true
}

// fileOpened counts the file of a response.
func (c *Conn) fileOpened(s *stream) {
	if f := s.reply.Segment().File; f == nil || f.Fd() < 0 {
		return
	}
	s.opened = true
	if c.files++; c.files > 1 {
		c.cfg.bounds.files.Add(1)
	}
}

// fileClosed no longer counts it, and continues the requests that wait.
func (c *Conn) fileClosed() {
	if c.files--; c.files > 0 {
		c.cfg.bounds.files.Add(-1)
	}
	for _, s := range c.streams {
		if c.postponed > 0 && s.postponed {
			s.postponed, c.postponed = false, c.postponed-1
			c.schedule(s)
		}
	}
}
