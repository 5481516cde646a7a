package rescue

// Found is what a connection was doing when its worker died.
type Found struct {
	Verdict Verdict
	Held    []byte // received bytes that are not answered yet
	Unsent  []byte // unsent bytes of responses, before the file
	File    int    // descriptor number of the file in the dead worker, -1 if there is none
	Off     int64  // offset of the rest of the file
	Rest    int64  // length of the rest in bytes
	Flags   uint8  // flags of conn
	About   []byte // exchange whose file is sent, opaque; empty if nothing is known
	Whole   bool   // About is the whole state of the connection; Held was received since
	Ending  bool   // nothing is sent after the file, and no received byte is used
	Tries   int    // crashes of workers that were serving the connection
	Current bool   // the worker was serving the connection when it died
	New     bool   // nothing has been received or sent
	Counted bool   // the worker had counted it as accepted, or taken it over
	Unused  bool   // no received byte has been used, and nothing has been sent
	Client  []byte // from [Writer.Client]; empty: nothing
}

// Verdict is what can be done with a connection.
type Verdict uint8

// The verdicts.
const (
	GoesOn       Verdict = iota // it can continue
	WasClosing                  // it had ended
	Fixed                       // its response cannot be continued elsewhere
	Inconsistent                // the record and the kernel do not agree
)

// Reader reads the memory of a dead worker. It never touches anything outside, even
// if an attacker has written the memory.
type Reader struct{ m *Memory }

// NewReader returns a reader of a mapped memory, whose worker must be dead.
func NewReader(m *Memory) Reader { return Reader{m} }

// File returns the descriptor number of the file in the record of a connection, -1 if there is
// none.
func (r Reader) File(fd int) int {
	rec, ok := r.record(fd)
	if !ok || rec.state > stateEnding || rec.len <= 0 || rec.file < 0 || int(rec.file) >= r.m.FDs {
		return -1
	}
	return int(rec.file)
}

// given returns the descriptor number of the connection that the worker was handing over when it
// died, -1 if there was none.
func (r Reader) given() int {
	for fd := range r.m.Highest() + 1 {
		if rec := r.m.record(fd); rec.given == 1 && rec.state <= stateEnding {
			return fd
		}
	}
	return -1
}

// record returns a copy of the valid record of a descriptor number.
func (r Reader) record(fd int) (record, bool) {
	if fd < 0 || fd >= r.m.FDs {
		return record{}, false
	}
	if h := r.m.header(); h.commit == uint32(fd)+1 {
		return h.next, true
	}
	return *r.m.record(fd), true
}

// Find returns what the connection with a descriptor number was doing. received and sent are the
// numbers of bytes received and sent on its socket ([Count]). The slices are copies.
func (r Reader) Find(fd int, received, sent uint64) Found {
	rec, ok := r.record(fd)
	if !ok {
		return Found{Verdict: Fixed, File: -1} // it never had a record
	}
	f := Found{Flags: rec.flags, Tries: int(rec.tries), Current: r.m.header().current == int32(fd)+1, File: -1}
	if h := r.m.header(); rec.given == 1 && rec.state <= stateEnding && (received != h.givenReceived || sent != h.givenSent) {
		return f.but(WasClosing) // another worker has used it since: this one died before it recorded the end of the handover
	}
	switch rec.state {
	case stateAccepted, stateOpen, stateEnding:
		if rec.sealing != 0 {
			return f.but(Fixed)
		}
	case stateClosing:
		return f.but(WasClosing)
	case stateFixed:
		return f.but(Fixed)
	default:
		return f.but(Inconsistent)
	}
	f.Ending, f.New = rec.state == stateEnding, received == 0 && sent == 0
	f.Counted = rec.state != stateAccepted
	f.Unused = rec.used == 0 && sent == 0
	if n := int(rec.client); n > 0 && n <= clientSize {
		f.Client = append([]byte(nil), r.m.clientBytes(fd)[:n]...)
	}
	if !r.progress(&f, fd, rec, sent) || !f.Ending && !r.held(&f, fd, rec, received) {
		return f.but(Inconsistent)
	}
	return f
}

func (f Found) but(v Verdict) Found {
	return Found{Verdict: v, File: -1, Tries: f.Tries, Current: f.Current}
}

// progress finds what is left of the batch and of the file that follows it.
func (r Reader) progress(f *Found, fd int, rec record, sent uint64) bool {
	if rec.len < 0 || rec.off < 0 || sent < rec.start || sent-rec.start > uint64(rec.batch)+uint64(rec.len) {
		return false
	}
	done := sent - rec.start
	if done < uint64(rec.batch) {
		from := r.m.unsentBytes(fd)
		if rec.place == inBuffer {
			if r.m.header().sending != int32(fd)+1 {
				return false
			}
			from = r.m.sendBuffer()
		}
		if int(rec.batch) > len(from) {
			return false
		}
		f.Unsent = append([]byte(nil), from[done:rec.batch]...)
		done = uint64(rec.batch)
	}
	gone := int64(done - uint64(rec.batch))
	if rec.len > gone {
		if f.File = r.File(fd); f.File < 0 {
			return false
		}
		f.Off, f.Rest = rec.off+gone, rec.len-gone
	}
	if f.Whole = rec.about&whole != 0; f.Whole && gone > 0 {
		return false // TLS does not send files unencrypted
	}
	if f.Rest > 0 || f.Whole {
		place, n := r.m.aboutAt(fd, rec.about)
		f.About = append([]byte(nil), place[:n]...)
	}
	return f.Off >= 0
}

// held finds the received bytes that are not answered. Those that were received before the receive
// buffer was last filled are in the connection's own area.
func (r Reader) held(f *Found, fd int, rec record, received uint64) bool {
	if received < rec.used || received > maxPosition {
		return false
	}
	buffered := received // position of the first byte in the receive buffer
	if h := r.m.header(); h.receiving>>positionBits == uint64(fd)+1 {
		buffered = min(received, h.receiving&maxPosition)
	}
	if received-buffered > uint64(r.m.Recv) || buffered > rec.used && (rec.held != heldInPlace || buffered-rec.used > uint64(r.m.held())) {
		return false
	}
	ring := r.m.heldBytes(fd)
	for at := rec.used; at < buffered; at++ {
		f.Held = append(f.Held, ring[at%uint64(len(ring))])
	}
	if first := max(rec.used, buffered); first < received {
		start := buffered
		f.Held = append(f.Held, r.m.recvBuffer()[first-start:received-start]...)
	}
	return true
}

// sealed reports whether the connection uses TLS, and so must never continue in two workers.
func (r Reader) sealed(fd int) bool { return r.m.record(fd).about&whole != 0 }
