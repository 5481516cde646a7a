package conn

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"phalanx/internal/proto"
)

// challenge asks for credentials, in UTF-8 (RFC 7617 §2.1).
const challenge = "WWW-Authenticate: Basic realm=\"shared files\", charset=\"UTF-8\"\r\n"

// maxCredentials bounds the credentials of a request in bytes.
const maxCredentials = 1024

// authorized reports whether the request has the configured credentials. How long
// that takes says nothing about how much of them is right: what is compared is as
// long in every case.
func (r *Reply) authorized() bool {
	if r.cfg.Credentials == "" {
		return true
	}
	scheme, token, _ := bytes.Cut(r.x.Value(proto.FieldAuthorization), []byte(" "))
	token = bytes.TrimSpace(token)
	var space [maxCredentials]byte
	if !proto.EqualFold(scheme, "basic") || base64.StdEncoding.DecodedLen(len(token)) > len(space) {
		return false
	}
	n, err := base64.StdEncoding.Decode(space[:], token)
	if err != nil {
		return false
	}
	given, wanted := sha256.Sum256(space[:n]), sha256.Sum256([]byte(r.cfg.Credentials))
	return subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
}
