package eventloop

import (
	"bytes"
	"encoding/binary"

	"phalanx/internal/clientip"
	"phalanx/internal/proxyproto"
	"phalanx/internal/rescue"
	"phalanx/internal/serve"
)

// Connections of some proxies begin with a PROXY header, which names the client. This file
// reads it before everything else, and keeps the client's address when a connection moves
// to another worker.

// header says whether a PROXY header must come, and what follows it.
type header uint8

const (
	headerNone   header = iota
	headerPlain         // a header, then plain HTTP
	headerSecure        // a header, then TLS
)

// expect makes a new peer begin with a PROXY header.
func (p *peer) expect(secure bool) {
	if p.header = headerPlain; secure {
		p.header = headerSecure
	}
}

// begun returns the received part of an incomplete PROXY header.
func (p *peer) begun() []byte {
	if p.aside == nil {
		return nil
	}
	return p.aside.header
}

// introduce takes received bytes as the PROXY header of a peer, or as its next part, and
// returns the bytes after the header. It returns false if the peer has ended.
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
	// Over TLS, no other worker may take the bytes after the header for plain HTTP.
	l.cfg.Records.Commit(int(p.fd), &rescue.Batch{File: -1, Used: l.cfg.Records.Used(int(p.fd)) + uint64(n), Fixed: secure})
	if secure {
		l.encrypt(p)
		l.begin(p)
	}
	return all[n:], true
}

// attribute notes the client that the PROXY header names. It returns false if that client is
// at its connection limit, and the peer has ended.
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

// unproxied ends a peer whose PROXY header is refused.
func (l *Loop) unproxied(p *peer, reason proxyproto.Reason) {
	l.tally.Unproxied(reason, *p.http1.Client())
	p.log.Unproxied(reason)
	l.close(p)
}

// arrival is what is known of the beginning of another worker's connection.
type arrival struct {
	client  *clientip.Addr // nil if no feature needs it
	proxied bool           // a PROXY header named the client
	header  header         // PROXY header that must still come
	begun   []byte         // received part of it
}

// arrivalOf returns what a dead worker has recorded of the beginning of a connection. If no
// received byte was used, the PROXY header must still come: a header is used as a whole.
func (l *Loop) arrivalOf(socket int, f *rescue.Found) arrival {
	as := arrival{client: l.peerOf(socket)}
	if f.Unused && as.client != nil && l.cfg.Proxied.Contains(*as.client) {
		as.header = headerPlain
	} else if client, ok := clientip.Decode(f.Client); ok && as.client != nil {
		as.client, as.proxied = &client, true
	}
	return as
}

// arrive applies the arrival of another worker's connection to its peer.
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

// arrivalState is the first byte of the state of a connection if some proxies send PROXY
// headers (serve.Config.Proxied). It is followed by the header value in a byte; the client,
// after its length in a byte; the received part of the header, after its length in two bytes,
// big-endian; and the state as it is without all this.
const arrivalState = 0xfe

// appendArrival appends the arrival of a peer, which comes before its state, if some proxies send
// PROXY headers. dst is empty.
func (l *Loop) appendArrival(dst []byte, p *peer) []byte {
	client := p.http1.Client()
	if l.cfg.Proxied == nil || client == nil {
		return dst
	}
	dst = append(dst, arrivalState, byte(p.header), 0)
	if p.header == headerNone {
		dst = client.AppendEncoded(dst)
		dst[2] = byte(len(dst) - 3)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.begun())))
	return append(dst, p.begun()...)
}

// cutArrival returns the arrival of a connection, and the state after it; false if it is
// malformed.
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
