package certificate

import (
	"encoding/json"
	"fmt"
)

// MaxBundle is the size in bytes of the largest encoded bundle, enough for a few thousand
// certificates.
const MaxBundle = 16 << 20

// Bundle holds the certificates, ticket keys and passwords of a worker. The master makes it
// and sends it encoded, perhaps to a worker of another version.
type Bundle struct {
	Certificates []Source // the first is the default; there may be none yet
	// TicketKeys encrypt session tickets: the first encrypts new ones, all decrypt.
	TicketKeys [][32]byte
	ClientCA   []byte   // PEM: authorities of client certificates; empty: clients need none
	Challenges []Source // certificates for TLS-ALPN-01 (RFC 8737)
	// Answers maps tokens of HTTP-01 challenges to key authorizations (RFC 8555 §8.3).
	Answers   map[string]string
	Passwords []Passwords
}

// Passwords is an htpasswd file.
type Passwords struct {
	Name []byte // its path, as configured; not a string, because a path need not be UTF-8 as JSON is
	Text []byte
}

// Encode returns the bundle as JSON. A bundle above MaxBundle bytes is an error.
func (b *Bundle) Encode() ([]byte, error) {
	p, err := json.Marshal(b)
	if err == nil && len(p) > MaxBundle {
		err = fmt.Errorf("certificates, keys and passwords have %d bytes together; the limit is %d", len(p), MaxBundle)
	}
	return p, err
}

// DecodeBundle decodes the output of [Bundle.Encode]. It does not parse the certificates; see
// [Parse].
func DecodeBundle(p []byte) (*Bundle, error) {
	b := new(Bundle)
	if err := json.Unmarshal(p, b); err != nil {
		return nil, fmt.Errorf("decode credentials: %w", err)
	}
	return b, nil
}
