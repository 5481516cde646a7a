package eventloop

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"phalanx/internal/conn"
	"phalanx/internal/ipc"
	"phalanx/internal/rescue"
)

// An event loop records what its successor needs if the worker is killed (docs/rescue.md),
// and begins with the rescued connections of a killed worker. Without Config.Records nothing
// here has an effect.

// commit records what a peer does next: it sends responses from the send buffer, which were
// made at the given position. A handshake is not recorded.
func (l *Loop) commit(p *peer, out []byte, at position) {
	if l.cfg.Records == nil || p.handshaking() {
		return
	}
	var b rescue.Batch
	if p.tls != nil {
		b = l.secureBatch(p, at)
	} else {
		m := p.http().Mark()
		if len(out) == 0 && !m.Fixed && (!m.Ending || p.step == conn.Reset) {
			return // the last commit is still valid, unless received bytes are discarded from here on
		}
		p.batch(&b, &m, at)
		b.About = l.about(p, &m)
	}
	b.Len = len(out)
	if len(out) > 0 && unsafe.SliceData(out) != unsafe.SliceData(l.out) {
		b.Fixed = true // the buffer was too small, and has been replaced
	}
	l.cfg.Records.Commit(int(p.fd), &b)
	p.placed = p.placed || p.large
}

// received returns how many bytes have been received from a peer, used or not.
func (l *Loop) received(p *peer) uint64 {
	if p.tls != nil {
		return l.cfg.Records.Used(int(p.fd))
	}
	return l.cfg.Records.Used(int(p.fd)) + uint64(p.http().Rest()+len(p.begun()))
}

// position is how many bytes have been received from a peer and sent to it.
type position struct{ received, sent uint64 }

// position returns the position of a peer that has sent all of its responses so far, except
// for the rest of a file.
func (l *Loop) position(p *peer) position {
	if l.cfg.Records == nil {
		return position{}
	}
	received := l.received(p)
	if p.tls != nil {
		received += uint64(l.tls.got)
		l.tls.got = 0
	}
	return position{received, l.cfg.Records.End(int(p.fd)) - uint64(p.http().Segment().Len)}
}

// kernelPosition returns the position of a peer according to the kernel. If the kernel does not
// say it, it is beyond every position, so that the peer is never rescued.
func (p *peer) kernelPosition() position {
	received, sent, err := rescue.Count(int(p.fd))
	if err != nil {
		return position{received: 1 << 62}
	}
	return position{received, sent}
}

// batch turns a mark into a batch that begins at a position.
func (p *peer) batch(b *rescue.Batch, m *conn.Mark, at position) {
	b.Used, b.Start, b.File = at.received-uint64(m.Rest), at.sent, -1
	b.Flags, b.Ending, b.Fixed = m.Flags, m.Ending, m.Fixed
	if m.Next.Len > 0 {
		b.File, b.Off, b.Rest = m.Next.File.Fd(), m.Next.Off, m.Next.Len
		b.Fixed = b.Fixed || b.File < 0
	}
}

// about returns what the access log needs about a response while its file is sent: when the
// request head was complete, and the exchange of conn. It is nil without a log.
func (l *Loop) about(p *peer, m *conn.Mark) []byte {
	if p.log == nil || m.Next.Len == 0 || m.Fixed {
		return nil
	}
	l.state = binary.NativeEndian.AppendUint64(l.state[:0], uint64(l.clock.Boot(p.http1.Headed())))
	l.state = p.http1.AppendExchange(l.state)
	p.placed = true
	return l.state
}

// holding records the unused rest of bytes that were just received.
func (l *Loop) holding(p *peer, got []byte) {
	if l.cfg.Records == nil {
		return
	}
	if k := min(p.http().Rest(), len(got)); k > 0 {
		l.cfg.Records.Held(int(p.fd), l.received(p)-uint64(k), got[len(got)-k:])
		p.placed = true
	}
}

// tidy releases memory that an idle connection does not need.
func (l *Loop) tidy(p *peer) {
	if p.placed && !p.large && p.header == headerNone && p.http().Rest() == 0 && len(p.unsent) == 0 && p.http().Segment().Len == 0 {
		p.placed = false
		l.cfg.Records.Release(int(p.fd))
	}
}

// taken records the positions and the state of a peer from another worker.
func (l *Loop) taken(p *peer) {
	if l.cfg.Records == nil {
		return
	}
	at := p.kernelPosition()
	var b rescue.Batch
	var held []byte
	if p.tls != nil {
		b = l.secureBatch(p, at)
		p.placed = len(p.unsent) > 0 || p.large
	} else {
		m := p.http().Mark()
		if held = p.http().Unused(); p.header != headerNone {
			held = p.begun()
			m.Rest = len(held)
		}
		p.batch(&b, &m, at)
		b.About = l.about(p, &m)
		p.placed = len(p.unsent) > 0 || m.Rest > 0 || len(b.About) > 0
	}
	l.cfg.Records.Take(int(p.fd), &b, p.unsent, held)
	rescue.Point("taken")
}

// giving records that a peer is about to be handed over, and its position. If this worker dies
// before it has recorded the end of the handover, the other worker may have used the
// connection since, and even closed it.
func (l *Loop) giving(p *peer) {
	if l.cfg.Records == nil {
		return
	}
	// An error makes no difference: if the bytes cannot be counted, nobody rescues the peer.
	received, sent, _ := rescue.Count(int(p.fd))
	l.cfg.Records.Giving(int(p.fd), received, sent)
}

// Rescue takes the connections of a dead worker from a channel of the master, before Run.
// Until Run begins, it does nothing to their sockets.
func (l *Loop) Rescue(channel int, blame ipc.Blame) (ipc.Rescued, error) {
	defer unix.Close(channel)
	r := rescuer{l: l, blame: blame}
	fd, err := ipc.ReceiveRecords(channel)
	if err != nil {
		return r.result, err
	}
	memory, err := rescue.Map(fd, false)
	unix.Close(fd)
	if err != nil {
		return r.result, err
	}
	defer memory.Close()
	r.reader = rescue.NewReader(memory)
	for {
		kept, lost, err := ipc.ReceiveKept(channel)
		if errors.Is(err, io.EOF) {
			return r.result, nil
		}
		if err != nil {
			return r.result, err
		}
		if lost > 0 {
			l.cfg.Log.Warn().Int("connections", lost).Msg("connections of a killed worker lost: out of descriptors")
			r.result.Lost += lost
		}
		r.take(kept)
	}
}

// rescuer takes over a dead worker's connections.
type rescuer struct {
	l      *Loop
	reader rescue.Reader
	blame  ipc.Blame
	state  []byte
	result ipc.Rescued
}

// take takes some connections, each with the file that it was being sent, if any.
func (r *rescuer) take(kept []ipc.Kept) {
	for _, k := range kept {
		received, sent, err := rescue.Count(k.Socket)
		if err != nil {
			r.leave(k)
			if errors.Is(err, rescue.ErrReset) {
				r.result.Reset++
			} else {
				r.result.Lost++
			}
			continue
		}
		f := r.reader.Find(k.Number, received, sent)
		switch {
		case f.Verdict == rescue.WasClosing:
			r.result.Ended++
		case f.Verdict == rescue.Fixed:
			r.result.Fixed++
		case f.Verdict != rescue.GoesOn || f.Rest > 0 && k.File < 0:
			r.result.Lost++
		case r.blamed(&f):
			r.result.Blamed++
		default:
			r.goOn(k, f)
			continue
		}
		r.leave(k)
	}
}

// blamed reports whether a connection is closed because it may have caused its
// worker's death, and counts its tries.
func (r *rescuer) blamed(f *rescue.Found) bool {
	const most = 2
	busy := len(f.Held) > 0 || len(f.Unsent) > 0 || f.Rest > 0
	switch r.blame {
	case ipc.BlameCurrent:
		if f.Current && busy {
			f.Tries++
		}
		return f.Tries >= most
	case ipc.BlameBusy:
		return busy || f.Whole // with a damaged counter, a nonce would be used twice
	}
	return false
}

// goOn continues a connection in this loop.
func (r *rescuer) goOn(k ipc.Kept, f rescue.Found) {
	l := r.l
	var file conn.File
	switch {
	case f.Rest > 0:
		file = l.fileOf(k.File)
	case k.File >= 0:
		unix.Close(k.File) // it had been sent completely
	}
	as := l.arrivalOf(k.Socket, &f)
	if f.Whole && !f.Ending {
		p, err := l.thaw(f.About, k.Socket, file, as, &f)
		r.count(p, err, k, f)
		return
	}
	if as.header != headerNone {
		as.begun, f.Held = f.Held, nil
	}
	ending := f.Ending || f.Rest == 0 && conn.EndsAfter(f.Flags)
	remains := conn.Remains{Held: f.Held, Unsent: f.Unsent, Flags: f.Flags, Ending: ending, Off: f.Off, Rest: f.Rest}
	if len(f.About) > 8 {
		remains.Exchange = f.About[8:]
		remains.Age = time.Duration(max(0, l.clock.Boot(l.now.Mono)-int64(binary.NativeEndian.Uint64(f.About))))
	}
	r.state = conn.AppendState(r.state[:0], remains)
	p, err := l.thaw(r.state, k.Socket, file, as, nil)
	r.count(p, err, k, f)
}

// count counts a connection as rescued, or as lost if err is not nil.
func (r *rescuer) count(p *peer, err error, k ipc.Kept, f rescue.Found) {
	l := r.l
	if err != nil {
		r.result.Lost++
		return
	}
	l.cfg.Records.Tried(k.Socket, f.Tries)
	p.log.Event("connection rescued")
	if !f.Counted {
		l.cfg.Row.Accepted.Add(1)
	}
	l.rescued = append(l.rescued, p)
	if f.New || p.header != headerNone {
		l.nascent = append(l.nascent, p)
	}
	r.result.Connections++
	r.result.Bytes += uint64(p.http().Left()) + uint64(len(p.unsent))
}

// leave has a connection closed when Run begins: until then the old keeper has it open too,
// and no FIN would be sent.
func (r *rescuer) leave(k ipc.Kept) {
	r.l.doomed = append(r.l.doomed, k.Socket)
	if k.File >= 0 {
		unix.Close(k.File)
	}
}

// resumeRescued serves the rescued connections, and closes those that cannot be
// rescued.
func (l *Loop) resumeRescued() {
	for _, fd := range l.doomed {
		rawClose(fd)
	}
	l.nascent = slices.DeleteFunc(l.nascent, func(p *peer) bool { return !l.isSecure(int(p.fd)) })
	for _, p := range l.nascent {
		if p.header != headerNone {
			p.header = headerSecure
		}
	}
	for _, p := range l.rescued {
		if !p.gone && !slices.Contains(l.nascent, p) {
			l.serve(p)
		}
	}
	l.doomed, l.rescued = nil, nil
	if l.tls != nil && l.tls.cfg != nil {
		l.beginNascent()
	}
}

// forget closes the socket of a peer that is already recorded as closing.
func (l *Loop) forget(p *peer) {
	fd := int(p.fd)
	rescue.Point("close")
	rawClose(fd)
	rescue.Point("closed")
	if p.placed {
		l.cfg.Records.Release(fd)
	}
	l.cfg.Records.Closed(fd)
}
