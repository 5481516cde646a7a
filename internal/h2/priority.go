package h2

import "phalanx/internal/proto"

// priority says when a response is sent among others (RFC 9218 §4).
type priority struct {
	urgency     uint8 // 0 to 7; the lower, the earlier
	incremental bool  // of use piece by piece: shares the connection with others
}

const numUrgencies = 8

// defaultPriority is that of a request that says nothing. A client that never speaks of
// priorities at all does not know either that its responses would come one after the
// other; so they share the connection.
func (c *Conn) defaultPriority() priority {
	return priority{urgency: 3, incremental: !c.prioritized}
}

// parsePriority reads a Priority field over p: a dictionary (RFC 8941 §3.2) of which two
// members are known. Unknown and malformed members are ignored.
func parsePriority(value []byte) priority {
	p := priority{urgency: 3}
	for len(value) > 0 {
		var member []byte
		if member, value = cutMember(value); len(member) == 0 {
			continue
		}
		switch {
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

// cutMember takes the first member off, without its parameters.
func cutMember(list []byte) (member, rest []byte) {
	end, params := 0, -1
	for end < len(list) && list[end] != ',' {
		if list[end] == ';' && params < 0 {
			params = end
		}
		end++
	}
	if rest = list[end:]; len(rest) > 0 {
		rest = rest[1:]
	}
	if params >= 0 {
		end = params
	}
	return proto.Trim(list[:end]), rest
}

// queue has the streams that can send something: for each urgency those whose responses
// are sent one after the other, in the sequence of the requests, and those that take
// turns. Of two such groups of one urgency each gets half.
type queue struct {
	lists   [numUrgencies][2]*stream // the first one of a ring: [0] in sequence, [1] in turns
	filled  uint16                   // a bit for each list with a stream
	turning bool                     // it is the turn of those that take turns
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

// turn puts a stream that takes turns behind the others.
func (q *queue) turn(s *stream) {
	if s.turns == 1 && q.lists[s.urgency][1] == s {
		q.lists[s.urgency][1] = s.next
	}
}

// maxEarly is how many PRIORITY_UPDATE frames for requests that have not arrived yet are
// remembered (RFC 9218 §7).
const maxEarly = 8

// early is the priority of a request that has not arrived yet.
type early struct {
	stream   uint32
	priority priority
}

// priorityUpdate takes a PRIORITY_UPDATE frame (RFC 9218 §7.1).
func (c *Conn) priorityUpdate(f frame, p []byte) Code {
	switch {
	case f.stream != 0:
		return ProtocolError
	case f.length < 4:
		return FrameSizeError
	}
	id := streamID(p)
	if id == 0 {
		return ProtocolError
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
		for i := range c.early {
			if c.early[i].stream == id {
				c.early[i].priority = update
				return NoError
			}
		}
		if len(c.early) < maxEarly {
			c.early = append(c.early, early{id, update})
		}
	}
	return NoError
}

// takeEarly gives a new stream the priority that came before it.
func (c *Conn) takeEarly(s *stream) {
	kept := c.early[:0]
	for _, e := range c.early {
		if e.stream == s.id {
			s.priority = e.priority
		} else if e.stream > s.id {
			kept = append(kept, e)
		}
	}
	if c.early = kept; len(kept) == 0 {
		c.early = nil
	}
}
