package h2

import "sync/atomic"

// Files bounds the files that streams have open beside one for each connection: a client
// with many streams would else take the descriptors of all others. It is for all
// goroutines.
type Files struct {
	most int64
	open atomic.Int64
}

// NewFiles returns a bound of so many files.
func NewFiles(most int) *Files { return &Files{most: int64(most)} }

// Open returns how many there are.
func (f *Files) Open() int { return int(f.open.Load()) }

func (f *Files) full() bool { return f != nil && f.open.Load() >= f.most }

func (f *Files) add(n int64) {
	if f != nil {
		f.open.Add(n)
	}
}

// postpone has a request wait for a response of its connection that has a file open, if
// there are too many of those.
func (c *Conn) postpone(s *stream) bool {
	if c.files == 0 || !c.cfg.files.full() {
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
		c.cfg.files.add(1)
	}
}

// fileClosed no longer counts it, and continues the requests that wait.
func (c *Conn) fileClosed() {
	if c.files--; c.files > 0 {
		c.cfg.files.add(-1)
	}
	for _, s := range c.streams {
		if c.postponed > 0 && s.postponed {
			s.postponed, c.postponed = false, c.postponed-1
			c.schedule(s)
		}
	}
}
