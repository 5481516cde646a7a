package tlsconn

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"time"
)

// A connection can be handed over to another process: its socket as a descriptor, and its
// state as bytes. docs/tls.md has the layout.

// stateVersion is the first byte of a state.
const stateVersion = 2

// maxName is the length in bytes of the longest server name that is kept. No host name is
// longer.
const maxName = 255

// Flags in a state.
const (
	flagEnded = 1 << iota
	flagResumed
	flagClientCertificate
	flagSilent
	flagsAll = 1<<iota - 1
)

// Movable reports whether the connection can be frozen now: its handshake is complete, this
// package's record layer has taken over, and no complete record is waiting.
func (c *Conn) Movable() bool {
	return c.phase == phaseOpen && c.library == nil && c.Rest() < maxCiphertext
}

// Stays reports whether the connection can never be frozen, because it stays with crypto/tls.
func (c *Conn) Stays() bool { return c.phase == phaseOpen && c.library != nil }

// Freeze appends the state of a connection that is [Conn.Movable], after [Conn.Hold]. Records
// that Seal has appended must be sent first, by this process or the other. Freeze does not
// change the connection, but once another process has the state, [Conn.Leave] must be called
// next: only one process may seal with the same keys.
func (c *Conn) Freeze(dst []byte) []byte {
	var flags byte
	for i, set := range []bool{c.ended, c.info.Resumed, c.info.ClientCertificate, c.silent} {
		if set {
			flags |= 1 << i
		}
	}
	dst = append(dst, stateVersion, flags, c.useless, c.pace.step)
	dst = binary.BigEndian.AppendUint16(dst, c.info.Suite)
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.info.Curve))
	dst = binary.BigEndian.AppendUint64(dst, c.rd.seq)
	dst = binary.BigEndian.AppendUint64(dst, c.wr.seq)
	n := hashSize(c.info.Suite)
	dst = append(dst, c.rd.secret[:n]...)
	dst = append(dst, c.wr.secret[:n]...)
	dst = append(append(dst, byte(len(c.info.ServerName))), c.info.ServerName...)
	dst = append(append(dst, byte(len(c.info.Protocol))), c.info.Protocol...)
	return append(dst, c.held...)
}

// stateHead is the length of a state before its secrets.
const stateHead = 4 + 2 + 2 + 8 + 8

// Leave ends a connection that was handed over to another process. It discards the keys;
// sealing panics.
func (c *Conn) Leave() {
	c.phase = phaseLeft
	c.wipe()
}

// errState means that the bytes are not the state of a connection.
var errState = errors.New("malformed state of a TLS connection")

// Thaw makes a connection from its state. It does not keep state.
func Thaw(state []byte, now time.Duration) (*Conn, error) {
	if len(state) < stateHead || state[0] != stateVersion || state[1] > flagsAll {
		return nil, errState
	}
	flags := state[1]
	c := &Conn{phase: phaseOpen, began: now, useless: state[2], pace: pace{at: now, step: state[3]}}
	c.ended, c.silent = flags&flagEnded != 0, flags&flagSilent != 0
	c.info = Info{
		Version: tls.VersionTLS13, Suite: binary.BigEndian.Uint16(state[4:]),
		Curve:   tls.CurveID(binary.BigEndian.Uint16(state[6:])),
		Resumed: flags&flagResumed != 0, ClientCertificate: flags&flagClientCertificate != 0,
	}
	n := hashSize(c.info.Suite)
	if n == 0 || len(state) < stateHead+2*n || c.useless > maxUseless || c.pace.step > paceSteps {
		return nil, errState
	}
	for i, h := range []*half{&c.rd, &c.wr} {
		h.suite, h.seq = c.info.Suite, binary.BigEndian.Uint64(state[8+8*i:])
		copy(h.secret[:], state[stateHead+i*n:stateHead+(i+1)*n])
	}
	rest := state[stateHead+2*n:]
	for _, name := range []*string{&c.info.ServerName, &c.info.Protocol} {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return nil, errState
		}
		end := 1 + int(rest[0])
		*name, rest = string(rest[1:end]), rest[end:]
	}
	c.held = append([]byte(nil), rest...)
	if c.wr.seq > 2*updateAfter || len(c.held) >= maxCiphertext {
		return nil, errState
	}
	return c, nil
}

// Shrink frees the derived keys, four fifths of the memory of an idle connection, and reports
// whether there were any. The next record derives them again in a few microseconds.
func (c *Conn) Shrink() bool {
	had := c.rd.keys != nil || c.wr.keys != nil
	c.rd.keys, c.wr.keys = nil, nil
	return had
}
