package tlsconn

import (
	"crypto/tls"
	"io"
	"iter"
	"net"
	"time"
)

// library is crypto/tls over memory.
type library struct {
	tls  *tls.Conn
	wire wire
	next func() (struct{}, bool) // resumes the handshake; nil afterwards
	end  func()
	err  error // of the handshake
}

func newLibrary(cfg *Config) *library {
	l := &library{}
	own := cfg.tls.Clone() // each handshake tells its secrets to its own connection
	own.KeyLogWriter = &l.wire.log
	l.tls = tls.Server(&l.wire, own)
	l.next, l.end = iter.Pull(func(yield func(struct{}) bool) {
		l.wire.yield = yield
		l.err = l.tls.Handshake()
	})
	return l
}

// shake resumes the handshake with one record.
func (l *library) shake(t *Turn, record []byte) (done bool, _ *Error) {
	l.wire.in, l.wire.out = record, t.Out
	_, waiting := l.next()
	t.Out = l.wire.out
	l.wire.in, l.wire.out = nil, nil
	if waiting {
		return false, nil
	}
	l.next, l.end, l.wire.yield = nil, nil, nil
	if l.err != nil {
		return false, handshakeError(l.err, Alert(l.wire.alert))
	}
	return true, nil
}

func (l *library) info() Info {
	s := l.tls.ConnectionState()
	if len(s.ServerName) > maxName {
		s.ServerName = ""
	}
	return Info{
		Version: s.Version, Suite: s.CipherSuite, Curve: s.CurveID,
		Resumed: s.DidResume, ClientCertificate: len(s.PeerCertificates) > 0,
		Protocol: s.NegotiatedProtocol, ServerName: s.ServerName,
	}
}

// secrets returns the protection of both directions if the record layer can take over
// the connection: it knows the suite, and has counted the records sent under the
// server's secret (tickets).
func (l *library) secrets(info Info) (rd, wr half, ok bool) {
	log := &l.wire.log
	if info.Version != tls.VersionTLS13 || log.suite != info.Suite || !log.found {
		return half{}, half{}, false
	}
	// The client's Finished was the last record that was fed, and is not under
	// this secret: none has been received.
	rd, ok = newHalf(info.Suite, log.client)
	return rd, log.writer, ok
}

// settle keeps what crypto/tls needs to continue the connection.
func (l *library) settle() {
	l.wire.log = keyLog{}
}

// stop ends a handshake that is under way.
func (l *library) stop() {
	if l.end != nil {
		l.end()
		l.next, l.end = nil, nil
	}
}

// read takes one record after the handshake.
func (l *library) read(t *Turn, record []byte) (ended bool, _ *Error) {
	l.wire.in, l.wire.out = record, t.Out
	n, err := l.tls.Read(t.Plain[len(t.Plain):cap(t.Plain)])
	t.Plain = t.Plain[:len(t.Plain)+n]
	t.Out = l.wire.out
	l.wire.in, l.wire.out = nil, nil
	switch {
	case err == nil || err == error(again{}):
		return false, nil
	case err == io.EOF:
		return true, nil
	}
	failed := handshakeError(err, Alert(l.wire.alert))
	if record[0] == typeHandshake && l.info().Version == tls.VersionTLS12 {
		failed.Reason = ReasonRenegotiation // crypto/tls refuses it
	}
	return false, failed
}

func (l *library) seal(out, plain []byte) []byte {
	l.wire.out = out
	l.tls.Write(plain) // into memory; without it no error but that of a closed connection
	out, l.wire.out = l.wire.out, nil
	return out
}

func (l *library) closeNotify(out []byte) []byte {
	l.wire.out = out
	l.tls.CloseWrite()
	out, l.wire.out = l.wire.out, nil
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

// again is the temporary error of a read without data, like EAGAIN: crypto/tls can read
// again after it.
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
