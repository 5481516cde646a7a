package eventloop

// link is a place in a list. A peer has one for its timer and one for the ready queue.
type link struct {
	next, prev *link
	peer       *peer
}

// list is a FIFO of peers from which any can be taken at once. Its zero value
// is not ready; see init.
type list struct{ root link }

func (l *list) init() { l.root.next, l.root.prev = &l.root, &l.root }

// front returns the first peer, or nil.
func (l *list) front() *peer { return l.root.next.peer }

// after puts a link that is in no list behind another one.
func (e *link) after(prev *link) {
	e.prev, e.next = prev, prev.next
	prev.next.prev, prev.next = e, e
}

// push puts a link that is in no list at the end.
func (l *list) push(e *link) { e.after(l.root.prev) }

// insert puts a link that is in no list behind all that are due no later. In a list of
// equally long deadlines that is the end, unless a connection from another worker came
// with an earlier deadline of its own.
func (l *list) insert(e *link) {
	last := l.root.prev
	for last.peer != nil && last.peer.armed > e.peer.armed {
		last = last.prev
	}
	e.after(last)
}

// unshift puts a link that is in no list at the front.
func (l *list) unshift(e *link) { e.after(&l.root) }

// remove takes the link out of its list, if it is in one.
func (e *link) remove() {
	if e.next != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.next, e.prev = nil, nil
	}
}

// linked reports whether the link is in a list.
func (e *link) linked() bool { return e.next != nil }
