package tlsconn

import (
	"encoding/binary"
	"time"
)

// The record layer of TLS 1.3 after the handshake.

// maxUseless is how many records in a row may carry no data, as in crypto/tls:
// each costs as much as one that does.
const maxUseless = 16

// updateAfter is after how many records this side changes its key: RFC 8446
// §5.5 allows AES-GCM 2^24.5 whole ones.
const updateAfter = 1 << 24

// A message KeyUpdate (§4.6.3), without and with the wish for one in return.
const (
	messageKeyUpdate = 24
	keyUpdateSize    = 5
)

// open takes one record.
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

// alerted takes an alert (§6).
func (c *Conn) alerted(t *Turn, content []byte) *Error {
	if len(content) != 2 {
		return c.refuse(t, ReasonMalformed, alertDecodeError)
	}
	switch alert := Alert(content[1]); alert {
	case alertCloseNotify:
		c.ended = true
		return nil
	case alertUserCanceled:
		return nil // a close follows
	default:
		return &Error{Reason: remoteReason(alert), Alert: alert}
	}
}

// updated takes a message of a handshake: after it a client sends none but
// KeyUpdate, which ends its record, for what follows has another key.
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

// updateKey tells the client that this side changes its key, and changes it.
func (c *Conn) updateKey(out []byte) []byte {
	out = c.wr.seal(out, []byte{messageKeyUpdate, 0, 0, 1, 0}, typeHandshake)
	c.wr.update()
	return out
}

// refuse fails with an alert to the client.
func (c *Conn) refuse(t *Turn, reason Reason, alert Alert) *Error {
	if !c.silent {
		c.silent = true
		t.Out = c.wr.seal(t.Out, []byte{alertFatal, byte(alert)}, typeAlert)
	}
	return &Error{Reason: reason, Alert: alert, Local: true}
}

// Seal appends plaintext as records, and nothing once the connection has failed.
// It panics before the handshake is done, and after CloseNotify, Leave and Close.
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

// MaxSealed is the most bytes that Seal appends for n bytes of plaintext.
func MaxSealed(n int) int {
	// crypto/tls cuts small records, of 1179 bytes and more, with 29 bytes of
	// overhead in TLS 1.2; a KeyUpdate may come between two.
	return n + (n/1024+2)*32
}

// pace determines the length of the next record. A client cannot use a record before
// it has all of it. So the first fits in one packet, and each is twice as long as the
// one before, as TCP's window grows. After an idle period the first length is used
// again, as in TCP.
type pace struct {
	at   time.Duration // of the last record
	step uint8         // how often the length has doubled
}

const (
	firstRecord = 1360 // bytes: with all headers 1382, and 40 for a tunnel's
	paceSteps   = 4    // after them a record is as long as it may be
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
