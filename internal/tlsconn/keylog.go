package tlsconn

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
)

// keyLog gets the traffic secrets of one TLS 1.3 connection from the key log of crypto/tls
// (SSLKEYLOGFILE format). It also counts the records that crypto/tls then sends with the
// server's secret: those that decrypt with it.
type keyLog struct {
	client []byte
	suite  uint16
	writer half
	// found: the server's secret is known, and the records sent since then were first some
	// with another secret, then only records with this one.
	found bool
}

// Write parses one line: label, client random, secret.
func (l *keyLog) Write(line []byte) (int, error) {
	f := bytes.Fields(line)
	if len(f) != 3 {
		return len(line), nil
	}
	secret := make([]byte, hex.DecodedLen(len(f[2])))
	if _, err := hex.Decode(secret, f[2]); err != nil {
		return len(line), nil
	}
	switch string(f[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		l.client = secret
	case "SERVER_TRAFFIC_SECRET_0":
		// Two suites have the short hash, and only this one is supported. With the other
		// nothing decrypts, and secrets notices that the suites differ.
		l.suite = tls.TLS_AES_128_GCM_SHA256
		if len(secret) == hashSize(tls.TLS_AES_256_GCM_SHA384) {
			l.suite = tls.TLS_AES_256_GCM_SHA384
		}
		l.writer, l.found = newHalf(l.suite, secret)
	}
	return len(line), nil
}

// sent counts the records in p that are encrypted with the server's secret.
func (l *keyLog) sent(p []byte) {
	for l.found && len(p) > 0 {
		if len(p) < headerSize {
			l.found = false
			return
		}
		n := headerSize + int(binary.BigEndian.Uint16(p[3:]))
		if n > len(p) {
			l.found = false
			return
		}
		if p[0] == typeData {
			if _, _, ok := l.writer.open(nil, p[:n]); !ok && l.writer.seq > 0 {
				l.found = false
			}
		}
		p = p[n:]
	}
}
