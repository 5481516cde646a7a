package tlsconn

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"phalanx/internal/certificate"
)

// Errors that crypto/tls's client makes in a handshake.
func TestHandshakeFailures(t *testing.T) {
	_, authority := clientCertificate(t)
	unknown, _ := clientCertificate(t)
	demand := func(o *Options) { o.ClientCA = authority }
	for _, c := range []struct {
		name   string
		server func(*Options)
		client func(*tls.Config)
		reason Reason
		alert  Alert
		local  bool
		seen   string // by the client
	}{
		{"version", nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, ReasonVersion, alertProtocolVersion, true, "protocol version not supported"},
		{"suite", nil, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}, ReasonCipher, alertHandshakeFailure, true, "handshake failure"},
		{"group", nil, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }, ReasonCipher, alertHandshakeFailure, true, "handshake failure"},
		{"protocol", nil, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, ReasonProtocol, alertNoProtocol, true, "no application protocol"},
		{"no certificate", func(o *Options) { o.Certificates = new(certificate.Set) }, nil, ReasonCertificate, alertInternalError, true, "internal error"},
		{"unknown authority", nil, func(c *tls.Config) { c.RootCAs = nil }, ReasonUntrusted, alertBadCertificate, false, "unknown authority"},
		{"another host", nil, func(c *tls.Config) { c.ServerName = "example.net" }, ReasonUntrusted, alertBadCertificate, false, "not example.net"},
		{"client certificate missing", demand, nil, ReasonUnauthorized, 0, false, "certificate required"},
		{"client certificate missing, 1.2", demand, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ReasonUnauthorized, alertHandshakeFailure, true, "handshake failure"},
		{"client certificate of an unknown authority", demand, func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &unknown, nil }
		}, ReasonUnauthorized, 0, false, "unknown certificate authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, client := setup(t, c.server)
			if c.client != nil {
				c.client(client)
			}
			err, got := fails(t, newServer(cfg), client)
			if err.Reason != c.reason || err.Alert != c.alert || err.Local != c.local {
				t.Errorf("%v: %+v", err, *err)
			}
			if got == nil || !strings.Contains(got.Error(), c.seen) {
				t.Errorf("the client gets %v", got)
			}
			if !strings.HasPrefix(err.Error(), "TLS: ") || strings.Contains(err.Error(), "tls: ") {
				t.Errorf("message %q", err)
			}
		})
	}
}

// Bytes that are not a ClientHello.
func TestFirstBytes(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		reason     Reason
	}{
		{"GET", "GET / HTTP/1.1\r\n", ReasonPlainHTTP},
		{"OPTIONS", "OPTIONS * HTTP/1.1\r\n", ReasonPlainHTTP},
		{"an unknown method", "PROPPATCH /", ReasonPlainHTTP},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ReasonPlainHTTP},
		{"a long word", strings.Repeat("A", 40) + " /", ReasonNotTLS},
		{"a short word", "A /", ReasonNotTLS},
		{"SSH", "SSH-2.0-OpenSSH\r\n", ReasonNotTLS},
		{"SSL 2", "\x80\x2e\x01\x00\x02", ReasonNotTLS},
		{"zeros", "\x00\x00\x00\x00", ReasonNotTLS},
		{"an alert", "\x15\x03\x01\x00\x02\x02\x28", ReasonNotTLS},
		{"version 4", "\x16\x04\x00", ReasonNotTLS},
		{"half a method", "OPTI", ReasonTruncated},
		{"one byte of a record", "\x16", ReasonTruncated},
		{"half a hello", "\x16\x03\x01\x01\x00\x01\x00", ReasonTruncated},
		{"nothing", "", ReasonNone},
		{"an endless record", "\x16\x03\x01\xff\xff", ReasonMalformed},
		{"an empty record", "\x16\x03\x01\x00\x00", ReasonMalformed},
		{"a hello of 64 KiB", "\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 1<<14-4), ReasonTooLarge},
		{"a hello of nonsense", "\x16\x03\x01\x00\x06\x01\x00\x00\x02xx", ReasonMalformed},
		{"another message", "\x16\x03\x01\x00\x04\x0e\x00\x00\x00", ReasonMalformed},
	} {
		for _, size := range []int{1, 2, 1 << 20} {
			cfg, _ := setup(t, nil)
			s := newServer(cfg)
			s.chunk = func(int) int { return size }
			s.in = []byte(c.sent)
			s.run()
			if got := s.end(); got != c.reason {
				t.Errorf("%s by %d: %v", c.name, size, got)
			}
		}
	}
}

// open performs a handshake and returns the client with its connection.
func open(t testing.TB, change func(*tls.Config)) (*server, *tls.Conn) {
	t.Helper()
	cfg, client := setup(t, nil)
	if change != nil {
		change(client)
	}
	s := newServer(cfg)
	c := tls.Client(s, client)
	ask(t, c, "one", "you said one")
	return s, c
}

func only12(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

func TestRenegotiation(t *testing.T) {
	s, _ := open(t, only12)
	// The content of a handshake record does not matter: only its type is in cleartext,
	// and after the handshake a client has no reason to send one.
	s.in = append(s.in, typeHandshake, 3, 3, 0, 40)
	s.in = append(s.in, make([]byte, 40)...)
	s.run()
	if reason := s.end(); reason != ReasonRenegotiation {
		t.Errorf("%v", reason)
	}
}

// Records that a client may not send after the handshake.
func TestBrokenRecords(t *testing.T) {
	for _, c := range []struct {
		name    string
		content []byte
		typ     byte
		times   int
		reason  Reason
		alert   Alert
		local   bool
	}{
		{"a ticket", []byte{4, 0, 0, 0}, typeHandshake, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"an empty message", nil, typeHandshake, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"half a KeyUpdate", []byte{24, 0, 0}, typeHandshake, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"two KeyUpdates", []byte{24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, typeHandshake, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"a bad KeyUpdate", []byte{24, 0, 0, 1, 2}, typeHandshake, 1, ReasonMalformed, alertDecodeError, true},
		{"an unknown type", []byte{1}, 99, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"only padding", nil, 0, 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"empty data", nil, typeData, maxUseless + 1, ReasonMalformed, alertUnexpectedMessage, true},
		{"too much", make([]byte, maxPlaintext+1), typeData, 1, ReasonMalformed, alertRecordOverflow, true},
		{"half an alert", []byte{2}, typeAlert, 1, ReasonMalformed, alertDecodeError, true},
		{"an alert", []byte{2, 80}, typeAlert, 1, ReasonAlert, alertInternalError, false},
		{"distrust", []byte{2, 48}, typeAlert, 1, ReasonUntrusted, alertUnknownCA, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, client := open(t, nil)
			mine := s.conn.rd // the client's writer is in step with it
			for range c.times {
				s.in = mine.seal(s.in, c.content, c.typ)
			}
			s.run()
			err, _ := s.conn.Err().(*Error)
			if err == nil || err.Reason != c.reason || err.Alert != c.alert || err.Local != c.local {
				t.Fatalf("%v", err)
			}
			_, got := client.Read(make([]byte, 1))
			if c.local && (got == nil || !strings.Contains(got.Error(), c.alert.String())) {
				t.Errorf("the client gets %v, want %v", got, c.alert)
			}
			s.end()
		})
	}
}

// A record that cannot be opened was not sent by the client. Requests that arrived with it get no
// response.
func TestForgedRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		forge  func(record []byte) []byte
		reason Reason
	}{
		{"a bit", func(r []byte) []byte { r[10] ^= 1; return r }, ReasonBadRecord},
		{"cut", func(r []byte) []byte { return append([]byte{typeData, 3, 3, 0, r[4] - 1}, r[headerSize:len(r)-1]...) }, ReasonBadRecord},
		{"again", func(r []byte) []byte { return append(r, r...) }, ReasonBadRecord},
		{"in the clear", func(r []byte) []byte { return []byte{typeHandshake, 3, 3, 0, 1, 0} }, ReasonMalformed},
		{"change of cipher", func(r []byte) []byte { return []byte{typeChangeCipherSpec, 3, 3, 0, 1, 1} }, ReasonMalformed},
		{"too long", func(r []byte) []byte { return []byte{typeData, 3, 3, 0x41, 1} }, ReasonMalformed},
		{"endless", func(r []byte) []byte { return []byte{typeData, 3, 3, 0xff, 0xff} }, ReasonMalformed},
		{"empty", func(r []byte) []byte { return []byte{typeData, 3, 3, 0, 0} }, ReasonBadRecord},
	} {
		s, _ := open(t, nil)
		if c.name == "too long" {
			s.in = append(c.forge(nil), make([]byte, 0x4101)...)
		} else {
			mine := s.conn.rd
			s.in = c.forge(mine.seal(nil, []byte("two\n"), typeData))
		}
		asked := 0
		s.handle = func(*server, string) { asked++ }
		s.run()
		if got := s.conn.Seal([]byte("x"), []byte("y"), 0); string(got) != "x" {
			t.Errorf("%s: sealed %q after the failure", c.name, got)
		}
		if got := s.end(); got != c.reason || asked > 0 {
			t.Errorf("%s: %v, %d requests", c.name, got, asked)
		}
	}
}

// A client that disconnects without close_notify is not an error, and can be counted.
func TestUnclosed(t *testing.T) {
	for _, change := range []func(*tls.Config){nil, only12} {
		s, _ := open(t, change)
		if got := s.end(); got != ReasonUnclosed {
			t.Errorf("%v", got)
		}
		if got := s.end(); got != ReasonNone {
			t.Errorf("closed again: %v", got)
		}
	}
}

// Data after close_notify is ignored, and responses are still sent.
func TestHalfClosed(t *testing.T) {
	s, c := open(t, nil)
	io.WriteString(c, "two\n")
	c.CloseWrite()
	s.in = append(s.in, "anything"...)
	got, err := io.ReadAll(c)
	if string(got) != "you said two" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if reason := s.end(); reason != ReasonNone {
		t.Errorf("%v", reason)
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumReasons {
		if seen[r.String()] || r.String() == "" || reasonTexts[r] == "" {
			t.Errorf("reason %d: %q", r, r)
		}
		seen[r.String()] = true
	}
}

// Early data is never accepted.
func TestNoEarlyData(t *testing.T) {
	cfg, client := setup(t, nil)
	flight := hello(t, client)
	// early_data (42), empty, before the others.
	at := headerSize + 4 + 2 + 32 // the session id
	at += 1 + int(flight[at])
	at += 2 + int(binary.BigEndian.Uint16(flight[at:]))
	at += 1 + int(flight[at])
	binary.BigEndian.PutUint16(flight[at:], binary.BigEndian.Uint16(flight[at:])+4)
	flight = append(flight[:at+2:at+2], append([]byte{0, 42, 0, 0}, flight[at+2:]...)...)
	binary.BigEndian.PutUint16(flight[3:], uint16(len(flight)-headerSize))
	binary.BigEndian.PutUint32(flight[headerSize:], 1<<24|uint32(len(flight)-headerSize-4))
	s := newServer(cfg)
	s.in = flight
	s.run()
	if reason := s.end(); reason != ReasonMalformed || !strings.Contains(s.conn.Err().Error(), "early data") {
		t.Errorf("%v, %v", reason, s.conn.Err())
	}
}
