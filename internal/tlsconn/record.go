package tlsconn

import (
	"encoding/binary"
	"slices"
)

// This file splits received bytes into records (RFC 8446 §5). TLS 1.2 has the same format.

const (
	headerSize    = 5
	maxPlaintext  = 16 << 10
	maxCiphertext = headerSize + maxPlaintext + 2048 // of TLS 1.2; in TLS 1.3 256
	maxInner      = maxPlaintext + 256
)

// Content types.
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeData             = 23
)

// longestMethod is the length of the longest word that is recognised as an HTTP method.
const longestMethod = 16

// front returns the first unused bytes: at least need, if so many were received.
func (c *Conn) front() []byte {
	if len(c.held) == 0 {
		return c.in
	}
	c.fill(c.need())
	return c.held
}

// need returns the number of bytes that identify the protocol, or the length of a record.
func (c *Conn) need() int {
	if c.phase == phaseHello {
		return longestMethod + 1
	}
	return headerSize
}

// fill extends the held bytes to n, as far as so many were received.
func (c *Conn) fill(n int) {
	if k := min(n-len(c.held), len(c.in)); k > 0 {
		c.held, c.in = append(c.held, c.in[:k]...), c.in[k:]
	}
}

// record returns the next complete record, or nil. Of a record that is too long it returns the
// header. The slice is valid until more is received.
func (c *Conn) record() []byte {
	p := c.front()
	if len(p) < headerSize {
		return nil
	}
	n := headerSize + int(binary.BigEndian.Uint16(p[3:]))
	if n > maxCiphertext {
		n = headerSize
	}
	if len(c.held) == 0 {
		if len(p) < n {
			return nil
		}
		c.in = p[n:]
		return p[:n:n]
	}
	c.fill(n)
	if len(c.held) < n {
		return nil
	}
	// More than one may be held, after a Yield.
	record := c.held[:n:n]
	if c.held = c.held[n:]; len(c.held) == 0 {
		c.held = record[:0]
	}
	return record
}

// restore puts back a record that record has just returned.
func (c *Conn) restore(record []byte) {
	c.held = append(slices.Clone(record), c.held...)
}

// firstBytes distinguishes TLS from other protocols. known: p begins a handshake record.
// Without an error, false means that more bytes are needed.
func firstBytes(p []byte) (known bool, _ *Error) {
	if len(p) == 0 {
		return false, nil
	}
	if p[0] == typeHandshake {
		if len(p) > 1 && p[1] != 3 {
			return false, &Error{Reason: ReasonNotTLS}
		}
		return len(p) > 1, nil
	}
	for i, b := range p {
		switch {
		case b == ' ' && i >= 3:
			return false, &Error{Reason: ReasonPlainHTTP}
		case b < 'A' || b > 'Z' || i >= longestMethod:
			return false, &Error{Reason: ReasonNotTLS}
		}
	}
	return false, nil
}

// helloTooLarge reports whether the first record announces a hello longer than maxHandshake.
func helloTooLarge(record []byte) bool {
	const head = headerSize + 4 // of the record, and of the message in it
	return len(record) >= head && int(binary.BigEndian.Uint32(record[headerSize:])&0xffffff) > maxHandshake-head
}
