package h2

import (
	"bytes"
	"slices"

	"phalanx/internal/proto"
)

// priority is the priority of a response among those of its connection (RFC 9218 §4).
type priority struct {
	urgency     uint8 // 0 to 7; lower is earlier
	incremental bool  // shares the connection with others of its urgency
}

const numUrgencies = 8

// defaultPriority is the priority of a request that names none. The responses of a client that
// does not use priorities share the connection, since it does not expect them one after the
// other.
func (c *Conn) defaultPriority() priority {
	return priority{urgency: 3, incremental: !c.prioritized}
}

// parsePriority parses a Priority field: a dictionary (RFC 8941 §3.2) with the members u and
// i. Unknown and malformed members are ignored.
func parsePriority(value []byte) priority {
	p := priority{urgency: 3}
	for len(value) > 0 {
		var member []byte
		member, value, _ = bytes.Cut(value, []byte(","))
		member, _, _ = bytes.Cut(member, []byte(";")) // without its parameters
		switch member = proto.Trim(member); {
		case len(member) == 3 && member[0] == 'u' && member[1] == '=' && '0' <= member[2] && member[2] <= '7':
			p.urgency = member[2] - '0'
		case string(member) == "i", string(member) == "i=?1":
			p.incremental = true
		case string(member) == "i=?0":
			p.incremental = false
		}
	}
	return p
}

// queue holds the streams that can send. Each urgency has two lists: responses that are sent
// one after the other, in the order of the requests, and incremental ones that take turns.
// Both lists of an urgency get the same share.
type queue struct {
	lists   [numUrgencies][2]*stream // heads of rings: [0] in order, [1] incremental
	filled  uint16                   // a bit for each list with a stream
	turning bool                     // the incremental list of the two was served last
}

// next returns the stream whose turn it is; nil: there is none.
func (q *queue) next() *stream {
	for u := range q.lists {
		both := q.filled >> (2 * u) & 3
		switch both {
		case 0:
			continue
		case 3:
			if q.turning = !q.turning; q.turning {
				return q.lists[u][1]
			}
			return q.lists[u][0]
		}
		return q.lists[u][both-1]
	}
	return nil
}

// push adds a stream.
func (q *queue) push(s *stream) {
	s.listed, s.urgency, s.turns = true, s.priority.urgency, 0
	if s.priority.incremental {
		s.turns = 1
	}
	list := &q.lists[s.urgency][s.turns]
	first := *list
	if first == nil {
		s.next, s.prev, *list = s, s, s
		q.filled |= 1 << (2*s.urgency + s.turns)
		return
	}
	at := first // the stream goes before at
	if s.turns == 0 {
		for s.id < at.prev.id {
			if at = at.prev; at == first {
				*list = s
				break
			}
		}
	}
	s.next, s.prev = at, at.prev
	at.prev.next, at.prev = s, s
}

// remove removes a stream.
func (q *queue) remove(s *stream) {
	s.listed = false
	list := &q.lists[s.urgency][s.turns]
	if s.next == s {
		*list = nil
		q.filled &^= 1 << (2*s.urgency + s.turns)
	} else {
		s.prev.next, s.next.prev = s.next, s.prev
		if *list == s {
			*list = s.next
		}
	}
	s.next, s.prev = nil, nil
}

// turn moves an incremental stream behind the others of its list.
func (q *queue) turn(s *stream) {
	if s.turns == 1 && q.lists[s.urgency][1] == s {
		q.lists[s.urgency][1] = s.next
	}
}

// maxEarly is the number of PRIORITY_UPDATE frames that are kept for requests that have not
// arrived yet (RFC 9218 §7).
const maxEarly = 8

// early is the priority of a request that has not arrived yet.
type early struct {
	stream   uint32
	priority priority
}

// priorityUpdate processes a PRIORITY_UPDATE frame (RFC 9218 §7.1).
func (c *Conn) priorityUpdate(f frame, p []byte) Code {
	switch {
	case f.stream != 0:
		return ProtocolError
	case f.length < 4:
		return FrameSizeError
	}
	id := streamID(p)
	if id&1 == 0 {
		return ProtocolError // no stream, or one of server push, which is idle
	}
	c.spend(1, ReasonPriorities)
	c.prioritized = true
	update := parsePriority(p[4:])
	switch s := c.find(id); {
	case s != nil:
		s.priority = update
		if s.listed {
			c.queue.remove(s)
			c.queue.push(s)
		}
	case id > c.last:
		if i := slices.IndexFunc(c.early, func(e early) bool { return e.stream == id }); i >= 0 {
			c.early[i].priority = update
		} else if len(c.early) < maxEarly {
			c.early = append(c.early, early{id, update})
		}
	}
	return NoError
}

// takeEarly gives a new stream the priority that was received before it.
func (c *Conn) takeEarly(s *stream) {
	c.early = slices.DeleteFunc(c.early, func(e early) bool {
		if e.stream == s.id {
			s.priority = e.priority
		}
		return e.stream <= s.id
	})
	if len(c.early) == 0 {
		c.early = nil
	}
}
