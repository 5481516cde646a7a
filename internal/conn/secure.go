package conn

import (
	"bytes"
	"strconv"

	"phalanx/internal/proto"
)

// This file has what HTTP knows of TLS.

// strictTransport is the field of RFC 6797, which counts only on secure connections.
// It is about this host alone: whether its subdomains have certificates too, this
// server cannot know.
const strictTransport = "Strict-Transport-Security"

// moves reports whether a request has an address to which it can be redirected.
func moves(r *proto.Request) bool {
	switch r.Method {
	case proto.MethodUnknown, proto.MethodConnect, proto.MethodTrace:
		return false
	}
	return !r.Asterisk
}

// noHost refuses a request, of HTTP/1.0, that cannot be redirected.
var noHost = proto.Fault{Status: proto.StatusBadRequest, Reason: "no host to redirect to", Rule: "RFC 9110 §7.2"}

// moveToSecure redirects a request in the clear to the same host and path, by https.
func (r *Reply) moveToSecure(out []byte, now Now) []byte {
	req, head := r.x.Request, r.x.Head
	host := req.Host(head)
	if len(host) == 0 {
		return r.Refuse(out, noHost, now)
	}
	location := append([]byte("https://"), host...)
	if r.cfg.SecurePort != 443 {
		location = strconv.AppendUint(append(location, ':'), uint64(r.cfg.SecurePort), 10)
	}
	path := req.Path.In(head)
	if len(path) == 0 {
		path = []byte("/")
	}
	location = proto.AppendEscaped(location, path, inURI)
	location = proto.AppendEscaped(location, req.Query.In(head), inURI)
	r.x.Moved = MovedSecure
	return r.page(out, proto.StatusPermanentRedirect, location, now)
}

// handshakeRecord is the first byte that a client of TLS sends (RFC 8446 §5.1).
const handshakeRecord = 22

// hello refuses what a client of TLS sends.
var hello = proto.Fault{Status: proto.StatusBadRequest, Reason: "TLS on a port for plain HTTP", Rule: "RFC 9110 §4.2.2"}

// Hello reports whether a client of TLS has come to a port for plain HTTP.
func (x *Exchange) Hello() bool { return x.Fault == hello }

// challengePath is where a certificate authority asks for the answer to a challenge
// (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// challenge returns the answer to the challenge that the request asks for.
func (r *Reply) challenge() (key string, ok bool) {
	x := r.x
	if x.Request.Method != proto.MethodGet && x.Request.Method != proto.MethodHead {
		return "", false
	}
	token, ok := bytes.CutPrefix(x.Request.Path.In(x.Head), []byte(challengePath))
	if !ok {
		return "", false
	}
	key, ok = r.cfg.Challenges[string(token)]
	return key, ok
}

// prove answers a challenge.
func (r *Reply) prove(out []byte, key string, now Now) []byte {
	out = r.start(out, proto.StatusOK, SourceChallenge, now)
	out = append(append(out, now.Second.born...), now.Second.stale...)
	out = append(out, "Content-Type: application/octet-stream\r\n"...)
	out = r.end(proto.AppendInt(out, "Content-Length: ", int64(len(key))))
	if r.x.Request.Method == proto.MethodGet {
		out = append(out, key...)
		r.x.Bytes += int64(len(key))
	}
	return out
}
