package tlsconn

import (
	"crypto/tls"
	"io"
	"iter"
	"net"
	"time"
)

// engine is crypto/tls over memory.
type engine struct {
	tls  *tls.Conn
	wire wire
	next func() (struct{}, bool) // resumes the handshake; nil afterwards
	end  func()
	err  error // of the handshake
}

func newEngine(cfg *Config) *engine {
	e := &engine{}
	own := cfg.tls.Clone() // each handshake tells its secrets to its own connection
	own.KeyLogWriter = &e.wire.log
	e.tls = tls.Server(&e.wire, own)
	e.next, e.end = iter.Pull(func(yield func(struct{}) bool) {
		e.wire.yield = yield
		e.err = e.tls.Handshake()
	})
	return e
}

// shake resumes the handshake with one record.
func (e *engine) shake(t *Turn, record []byte) (done bool, _ *Error) {
	e.wire.in, e.wire.out = record, t.Out
	_, waiting := e.next()
	t.Out = e.wire.out
	e.wire.in, e.wire.out = nil, nil
	if waiting {
		return false, nil
	}
	e.next, e.end, e.wire.yield = nil, nil, nil
	if e.err != nil {
		return false, handshakeError(e.err, Alert(e.wire.alert))
	}
	return true, nil
}

func (e *engine) info() Info {
	s := e.tls.ConnectionState()
	return Info{
		Version: s.Version, Suite: s.CipherSuite, Curve: s.CurveID,
		Resumed: s.DidResume, ClientCertificate: len(s.PeerCertificates) > 0,
		Protocol: s.NegotiatedProtocol,
	}
}

// secrets returns the protection of both directions if the record layer can
// take the connection over: it knows the suite, and has found out of the flight
// that was sent how many of its records were protected already (tickets).
func (e *engine) secrets(info Info) (rd, wr half, ok bool) {
	l := &e.wire.log
	if info.Version != tls.VersionTLS13 || l.suite != info.Suite || !l.found {
		return half{}, half{}, false
	}
	// The client's Finished was the last record that was fed, and is not under
	// this secret: none has been received.
	rd, ok = newHalf(info.Suite, l.client)
	return rd, l.writer, ok
}

// settle keeps what crypto/tls needs to go on with the connection.
func (e *engine) settle() {
	e.wire.log = keyLog{}
}

// stop ends a handshake that is under way.
func (e *engine) stop() {
	if e.end != nil {
		e.end()
		e.next, e.end = nil, nil
	}
}

// read takes one record after the handshake.
func (e *engine) read(t *Turn, record []byte) (ended bool, _ *Error) {
	e.wire.in, e.wire.out = record, t.Out
	n, err := e.tls.Read(t.Plain[len(t.Plain):cap(t.Plain)])
	t.Plain = t.Plain[:len(t.Plain)+n]
	t.Out = e.wire.out
	e.wire.in, e.wire.out = nil, nil
	switch {
	case err == nil || err == error(again{}):
		return false, nil
	case err == io.EOF:
		return true, nil
	}
	reason := handshakeError(err, Alert(e.wire.alert))
	if record[0] == typeHandshake {
		reason.Reason = ReasonRenegotiation // crypto/tls refuses it
	}
	return false, reason
}

func (e *engine) seal(out, plain []byte) []byte {
	e.wire.out = out
	e.tls.Write(plain) // into memory; without it no error but that of a closed connection
	out, e.wire.out = e.wire.out, nil
	return out
}

func (e *engine) closeNotify(out []byte) []byte {
	e.wire.out = out
	e.tls.CloseWrite()
	out, e.wire.out = e.wire.out, nil
	return out
}

// wire is the net.Conn of crypto/tls: it reads one record and writes into
// memory.
type wire struct {
	in    []byte // what is left of the record
	out   []byte
	yield func(struct{}) bool // leaves the coroutine; nil: there is none
	alert byte                // the last that was sent in the clear
	log   keyLog
}

// again says that there is nothing to read now. crypto/tls takes an error that
// is temporary as no end.
type again struct{}

func (again) Error() string   { return "nothing to read yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

func (w *wire) Read(p []byte) (int, error) {
	for len(w.in) == 0 {
		switch {
		case w.yield == nil:
			return 0, again{}
		case !w.yield(struct{}{}):
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, w.in)
	w.in = w.in[n:]
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	if len(p) == headerSize+2 && p[0] == typeAlert {
		w.alert = p[headerSize+1]
	}
	w.log.sent(p)
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
