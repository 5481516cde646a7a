package tlsconn

import (
	"encoding/binary"
	"time"
)

// The record layer of TLS 1.3 after the handshake.

// maxUseless is the number of consecutive records that may carry no data, as in crypto/tls.
// Each costs as much as a record with data.
const maxUseless = 16

// updateAfter is the number of records after which this side updates its key. RFC 8446 §5.5
// allows 2^24.5 full-size records with AES-GCM.
const updateAfter = 1 << 24

// The message KeyUpdate (§4.6.3).
const (
	messageKeyUpdate = 24
	keyUpdateSize    = 5
)

// open processes one record.
func (c *Conn) open(t *Turn, record []byte) *Error {
	switch n := int(binary.BigEndian.Uint16(record[3:])); {
	case n > maxInner:
		return c.refuse(t, ReasonMalformed, alertRecordOverflow)
	case record[0] != typeData || record[1] != 3:
		return c.refuse(t, ReasonMalformed, alertUnexpectedMessage)
	}
	start := len(t.Plain)
	plain, typ, ok := c.rd.open(t.Plain, record)
	content := plain[start:]
	if !ok {
		return c.refuse(t, ReasonBadRecord, alertBadRecordMAC)
	}
	if len(content) > maxPlaintext {
		return c.refuse(t, ReasonMalformed, alertRecordOverflow)
	}
	if typ == typeData && len(content) > 0 {
		t.Plain, c.useless = plain, 0
		return nil
	}
	if c.useless++; c.useless > maxUseless {
		return c.refuse(t, ReasonMalformed, alertUnexpectedMessage)
	}
	switch typ {
	case typeData:
		return nil
	case typeAlert:
		return c.alerted(t, content)
	case typeHandshake:
		return c.updated(t, content)
	}
	return c.refuse(t, ReasonMalformed, alertUnexpectedMessage)
}

// alerted processes an alert (§6).
func (c *Conn) alerted(t *Turn, content []byte) *Error {
	if len(content) != 2 {
		return c.refuse(t, ReasonMalformed, alertDecodeError)
	}
	switch alert := Alert(content[1]); alert {
	case alertCloseNotify:
		c.ended = true
		return nil
	case alertUserCanceled:
		return nil // close_notify follows
	default:
		return &Error{Reason: remoteReason(alert), Alert: alert}
	}
}

// updated processes a post-handshake message. A client may send only KeyUpdate, which must end
// its record because the key changes after it.
func (c *Conn) updated(t *Turn, content []byte) *Error {
	switch {
	case len(content) != keyUpdateSize || content[0] != messageKeyUpdate:
		return c.refuse(t, ReasonMalformed, alertUnexpectedMessage)
	case content[1] != 0 || content[2] != 0 || content[3] != 1 || content[4] > 1:
		return c.refuse(t, ReasonMalformed, alertDecodeError)
	}
	c.rd.update()
	if content[4] == 1 && !c.silent {
		t.Out = c.updateKey(t.Out)
	}
	return nil
}

// updateKey announces a new key to the client and switches to it.
func (c *Conn) updateKey(out []byte) []byte {
	out = c.wr.seal(out, []byte{messageKeyUpdate, 0, 0, 1, 0}, typeHandshake)
	c.wr.update()
	return out
}

// refuse appends a fatal alert and returns the error.
func (c *Conn) refuse(t *Turn, reason Reason, alert Alert) *Error {
	if !c.silent {
		c.silent = true
		t.Out = c.wr.seal(t.Out, []byte{alertFatal, byte(alert)}, typeAlert)
	}
	return &Error{Reason: reason, Alert: alert, Local: true}
}

// Seal encrypts plain and appends the records to out. It appends nothing if the connection has
// failed. It panics before the end of the handshake, and after CloseNotify, Leave and Close.
func (c *Conn) Seal(out, plain []byte, now time.Duration) []byte {
	switch {
	case c.phase == phaseFailed:
		return out
	case c.phase != phaseOpen || c.silent:
		panic("tlsconn: sealing on a connection that is not open")
	}
	if c.library != nil {
		return c.library.seal(out, plain)
	}
	c.pace.rest(now)
	for len(plain) > 0 {
		if c.wr.seq >= updateAfter {
			out = c.updateKey(out)
		}
		n := min(len(plain), c.pace.size())
		out = c.wr.seal(out, plain[:n], typeData)
		plain = plain[n:]
	}
	return out
}

// MaxSealed returns the largest number of bytes that Seal appends for n bytes of plaintext.
func MaxSealed(n int) int {
	// crypto/tls makes records of at least 1179 bytes of content, with 29 bytes of overhead in
	// TLS 1.2. A KeyUpdate may be added.
	return n + (n/1024+2)*32
}

// pace determines the length of the next record. A client cannot decrypt a record before it
// has all of it, so the first one fits into one packet. Each further one is twice as long, as
// TCP's window grows. After an idle period pace starts again, as TCP does.
type pace struct {
	at   time.Duration // of the last record
	step uint8         // how often the length has doubled
}

const (
	firstRecord = 1360 // bytes: 1382 with the record's overhead, which leaves room for headers and a tunnel
	paceSteps   = 4    // after this many doublings records have maxPlaintext
	paceRest    = time.Second
)

func (p *pace) rest(now time.Duration) {
	if now-p.at > paceRest {
		p.step = 0
	}
	p.at = now
}

func (p *pace) size() int {
	if p.step >= paceSteps {
		return maxPlaintext
	}
	p.step++
	return firstRecord << (p.step - 1)
}
