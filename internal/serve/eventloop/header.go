package eventloop

import (
	"bytes"
	"encoding/binary"

	"phalanx/internal/clientip"
	"phalanx/internal/proxyproto"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// The connections of some clients begin with a header of the PROXY protocol, which says
// whose they are. This file takes it before all else, and keeps what it says when a
// connection moves to another worker.

// header is what has to come of a PROXY header.
type header uint8

const (
	headerNone   header = iota
	headerPlain         // all of it, and plain HTTP follows
	headerSecure        // all of it, and TLS follows
)

// expect makes a peer of a new connection begin with a header.
func (p *peer) expect(secure bool) {
	if p.header = headerPlain; secure {
		p.header = headerSecure
	}
}

// begun is what has come of the header that has to come first.
func (p *peer) begun() []byte {
	if p.aside == nil {
		return nil
	}
	return p.aside.header
}

// introduce takes what a peer has sent as its header, or the next part of it, and returns
// what comes behind it. It returns false if the peer has ended.
func (l *Loop) introduce(p *peer, got []byte) (rest []byte, alive bool) {
	held := p.begun()
	all := got
	if len(held) > 0 {
		all = append(held, got...)
	}
	h, n, reason := proxyproto.Parse(all)
	switch {
	case reason != proxyproto.ReasonNone:
		l.unproxied(p, reason)
		return nil, false
	case n == 0:
		if len(held) == 0 {
			all = bytes.Clone(all)
		}
		if p.beside().header = all; l.cfg.Records != nil {
			l.cfg.Records.Held(int(p.fd), uint64(len(held)), got)
			p.placed = true
		}
		return nil, true
	}
	peer := *p.http1.Client()
	client := serve.ClientOf(h, peer)
	secure := p.header == headerSecure
	if p.header = headerNone; len(held) > 0 {
		p.aside.header = nil
	}
	if !h.Own() && !l.attribute(p, client) {
		return nil, false
	}
	l.cfg.Records.Commit(int(p.fd), &rescue.Batch{File: -1, Used: uint64(n)})
	if secure {
		l.encrypt(p)
		l.begin(p)
	}
	return all[n:], true
}

// attribute notes whose connection it is. It returns false if that client has too many, and
// this one has ended.
func (l *Loop) attribute(p *peer, client clientip.Addr) bool {
	counted, ok := l.limits.Admit(&client, l.now.Mono)
	if !ok {
		l.close(p)
		return false
	}
	var encoded [32]byte
	l.cfg.Records.Client(int(p.fd), client.AppendEncoded(encoded[:0]))
	p.http1.From(&client)
	p.counted = counted
	p.log.Proxied(client)
	return true
}

// unproxied ends a peer whose header is refused.
func (l *Loop) unproxied(p *peer, reason proxyproto.Reason) {
	l.tally.Unproxied(reason, *p.http1.Client())
	p.log.Unproxied(reason)
	l.close(p)
}

// arrival is what is known of the beginning of another worker's connection.
type arrival struct {
	client  *clientip.Addr // nil if nobody asks
	proxied bool           // a header has said so
	header  header         // that has to come
	begun   []byte         // what has come of it
}

// arrivalOf returns what a dead worker has recorded of the beginning of a connection. Its
// header is to come as long as none of its bytes are used: there is no shorter one.
func (l *Loop) arrivalOf(socket int, f *rescue.Found) arrival {
	as := arrival{client: l.peerOf(socket)}
	if f.Unused && as.client != nil && l.cfg.Proxied.Contains(*as.client) {
		as.header = headerPlain
	} else if client, ok := clientip.Decode(f.Client); ok && as.client != nil {
		as.client, as.proxied = &client, true
	}
	return as
}

// arrive notes the beginning of a connection that comes from another worker.
func (l *Loop) arrive(p *peer, as arrival) {
	if p.header = as.header; p.header != headerNone {
		if len(as.begun) > 0 {
			p.beside().header, p.more = as.begun, true
		}
		return
	}
	p.counted = l.limits.Arrive(as.client)
	if as.proxied {
		var encoded [32]byte
		l.cfg.Records.Client(int(p.fd), as.client.AppendEncoded(encoded[:0]))
	}
}

// arrivalState is the first byte of the state of a connection on which there was, or is to
// be, a header: what has to come of it follows in a byte, then lengths of a byte and of two,
// big-endian, with the client, and with what has come of the header. Behind that is the
// state as it is without.
const arrivalState = 0xfe

// prependArrival puts the beginning of a peer's connection before its state, if anything is
// to be said of it.
func (l *Loop) prependArrival(p *peer, state []byte) []byte {
	client := p.http1.Client()
	if l.cfg.Proxied == nil || client == nil {
		return state
	}
	var space [64]byte
	b := append(space[:0], arrivalState, byte(p.header), 0)
	if p.header == headerNone {
		b = client.AppendEncoded(b)
		b[2] = byte(len(b) - 3)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.begun())))
	b = append(b, p.begun()...)
	n := len(state)
	state = append(state, b...) // for its room
	copy(state[len(b):], state[:n])
	copy(state, b)
	return state
}

// cutArrival returns what is said of the beginning of a connection, and the state behind it;
// false if it is malformed.
func (l *Loop) cutArrival(state []byte, socket int) (as arrival, rest []byte, ok bool) {
	if as.client = l.peerOf(socket); len(state) == 0 || state[0] != arrivalState {
		return as, state, true
	}
	if len(state) < 3 || state[1] > byte(headerSecure) || len(state) < 3+int(state[2])+2 {
		return as, nil, false
	}
	as.header = header(state[1])
	named, rest := state[3:3+int(state[2])], state[3+int(state[2]):]
	n := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; n > len(rest) || (as.header == headerNone) != (len(named) > 0) {
		return as, nil, false
	}
	as.begun = append([]byte(nil), rest[:n]...)
	if as.header != headerNone {
		if as.client == nil { // this worker expects no headers
			as.client = new(clientip.Addr)
			*as.client = serve.Peer(socket)
		}
		return as, rest[n:], true
	}
	client, ok := clientip.Decode(named)
	if ok && as.client != nil {
		as.client, as.proxied = &client, true
	}
	return as, rest[n:], ok
}
