package conn

import (
	"bytes"
	"strconv"

	"phalanx/internal/proto"
)

// This file has what HTTP does differently with TLS.

// strictTransport is the field of RFC 6797, which clients ignore on plain connections. It is
// sent without includeSubDomains, because this server cannot know whether subdomains have
// certificates.
const strictTransport = "Strict-Transport-Security"

// moves reports whether a request can be redirected to HTTPS.
func moves(r *proto.Request) bool {
	switch r.Method {
	case proto.MethodUnknown, proto.MethodConnect, proto.MethodTrace:
		return false
	}
	return !r.Asterisk
}

// noHost refuses an HTTP/1.0 request that cannot be redirected.
var noHost = proto.Fault{Status: proto.StatusBadRequest, Reason: "no host to redirect to", Rule: "RFC 9110 §7.2"}

// moveToSecure redirects a plain HTTP request to the same host and path over HTTPS.
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

// handshakeRecord is the first byte that a TLS client sends (RFC 8446 §5.1).
const handshakeRecord = 22

// hello refuses a ClientHello on a port for plain HTTP.
var hello = proto.Fault{Status: proto.StatusBadRequest, Reason: "TLS on a port for plain HTTP", Rule: "RFC 9110 §4.2.2"}

// Hello reports whether a TLS client has connected to a port for plain HTTP.
func (x *Exchange) Hello() bool { return x.Fault == hello }

// challengePath is where a certificate authority requests the response to a challenge
// (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// challenge returns the response to the challenge in the request's path.
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

// prove answers with the response to a challenge.
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
