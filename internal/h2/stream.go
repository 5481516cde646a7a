package h2

import (
	"sort"
	"sync/atomic"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/proto"
)

// stream is a request and its response (RFC 9113 §5).
type stream struct {
	id        uint32
	phase     streamPhase
	whole     bool // the parser has accepted the request head
	ended     bool // the client has sent all of its request
	last      bool // pending, or the segment, ends the content
	opened    bool // its open file is counted
	postponed bool // it waits for a file of any connection to be closed
	priority  priority

	window int64 // that the client has opened for content
	credit int32 // bytes of receiveWindow that the client may still send
	sized  bool  // its content has a Content-Length
	left   int64 // bytes of content that the client has still to send, or may if not sized

	began   time.Duration // when its header block was complete
	mark    int64         // Conn.made when its last DATA frame was made
	since   time.Duration // its last progress
	parser  proto.Parser
	head    []byte      // the request head in HTTP/1.1 form
	fault   proto.Fault // why the request is refused; zero: it is not refused
	reply   conn.Reply
	pending []byte       // generated content
	weight  int          // memory of head and pending in bytes, as counted in Bounds
	used    int          // likewise, as counted in Conn.used
	sent    int          // bytes of pending that were sent
	woken   *atomic.Bool // set when its wait is over; nil: it does not wait

	// of the queue
	listed     bool
	urgency    uint8
	turns      uint8
	next, prev *stream
}

type streamPhase uint8

const (
	streamReceiving streamPhase = iota // the request's content
	streamReady                        // the request is complete
	streamPreparing                    // the response is being prepared
	streamSending                      // the head of the response has been sent
)

// Sizes of the free lists, and of the largest buffers in bytes that a stream keeps in them.
const (
	spareStreams = 4096 // a few dozen connections with 100 requests each
	spareLists   = 32
	spareHead    = 4 << 10
	spareContent = 8 << 10
)

// find returns the open stream with the id, or nil.
func (c *Conn) find(id uint32) *stream {
	if i := c.index(id); i < len(c.streams) && c.streams[i].id == id {
		return c.streams[i]
	}
	return nil
}

func (c *Conn) index(id uint32) int {
	if n := len(c.streams); n > 0 && c.streams[n-1].id < id {
		return n
	} else if n > 0 && c.streams[0].id == id {
		return 0
	}
	return sort.Search(len(c.streams), func(i int) bool { return c.streams[i].id >= id })
}

// open adds a stream, whose id is the highest so far.
func (c *Conn) open(id uint32, now conn.Now) *stream {
	var s *stream
	if n := len(c.cfg.spare); n > 0 {
		s, c.cfg.spare = c.cfg.spare[n-1], c.cfg.spare[:n-1]
	} else {
		s = new(stream)
	}
	s.id, s.phase, s.began, s.since = id, streamReceiving, now.Mono, now.Mono
	s.window, s.credit = c.initial, receiveWindow
	s.priority = c.defaultPriority()
	s.reply = c.reply
	if n := len(c.cfg.lists); c.streams == nil && n > 0 {
		c.streams, c.cfg.lists = c.cfg.lists[n-1], c.cfg.lists[:n-1]
	}
	c.streams, c.active = append(c.streams, s), true
	return s
}

// drop removes a stream whose exchange has ended.
func (c *Conn) drop(s *stream) {
	if s.listed {
		c.queue.remove(s)
	}
	if s.woken != nil {
		c.waiting--
	}
	if s.phase != streamReceiving {
		c.answering--
	}
	i := c.index(s.id)
	c.streams = append(c.streams[:i], c.streams[i+1:]...)
	if len(c.streams) == 0 {
		// An idle connection keeps no list.
		if len(c.cfg.lists) < spareLists {
			c.cfg.lists = append(c.cfg.lists, c.streams)
		}
		c.streams = nil
	}
	if s.postponed {
		c.postponed--
	}
	if s.opened {
		c.fileClosed()
	}
	c.cfg.bounds.memory.Add(-int64(s.weight))
	c.used -= s.used
	if len(c.cfg.spare) >= c.cfg.http.Spare(spareStreams) {
		return
	}
	head, pending := s.head[:0], s.pending[:0]
	if cap(head) > spareHead {
		head = nil
	}
	if cap(pending) > spareContent {
		pending = nil
	}
	*s = stream{head: head, pending: pending}
	c.cfg.spare = append(c.cfg.spare, s)
}
