package tlsconn

import (
	"crypto/tls"
	"io"
	"iter"
	"net"
	"time"
)

// library runs crypto/tls over memory instead of a socket.
type library struct {
	tls  *tls.Conn
	wire wire
	next func() (struct{}, bool) // resumes the handshake; nil afterwards
	end  func()
	err  error // of the handshake
}

func newLibrary(cfg *Config) *library {
	l := &library{}
	own := cfg.tls.Clone() // the key log is of one connection
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

// secrets returns the record protection of both directions if this package's record layer can
// take over: it supports the suite, and the records already sent with the server's secret
// (session tickets) are counted.
func (l *library) secrets(info Info) (rd, wr half, ok bool) {
	log := &l.wire.log
	if info.Version != tls.VersionTLS13 || log.suite != info.Suite || !log.found {
		return half{}, half{}, false
	}
	// The last record received was the client's Finished, which is encrypted with another
	// secret. So no record was received with this one.
	rd, ok = newHalf(info.Suite, log.client)
	return rd, log.writer, ok
}

// settle frees what a connection that stays with crypto/tls does not need.
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

// read processes one record after the handshake.
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
	l.tls.Write(plain) // into memory: the only error is that of a closed connection
	out, l.wire.out = l.wire.out, nil
	return out
}

func (l *library) closeNotify(out []byte) []byte {
	l.wire.out = out
	l.tls.CloseWrite()
	out, l.wire.out = l.wire.out, nil
	return out
}

// wire is the net.Conn of crypto/tls. It reads from one record and writes into memory.
type wire struct {
	in    []byte // the rest of the record
	out   []byte
	yield func(struct{}) bool // suspends the coroutine; nil: there is none
	alert byte                // the last alert that was sent unencrypted
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
