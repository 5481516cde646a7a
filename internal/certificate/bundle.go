package certificate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// MaxBundle is the size in bytes of the largest encoded bundle, enough for a few thousand
// certificates.
const MaxBundle = 16 << 20

// The first byte of an encoded bundle gives its layout. Bundles without passwords use the
// first one, so that workers of earlier versions can read them.
const (
	bundleVersion         = 1
	bundleVersionPassword = 2
)

// Bundle holds the certificates, ticket keys and passwords of a worker. The master makes it
// and sends it encoded.
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
	Name string // its path, as configured
	Text []byte
}

// Encode returns the encoded bundle. A bundle above MaxBundle bytes is an error.
func (b *Bundle) Encode() ([]byte, error) {
	p := []byte{bundleVersion}
	if len(b.Passwords) > 0 {
		p[0] = bundleVersionPassword
	}
	p = appendSources(p, b.Certificates)
	p = binary.AppendUvarint(p, uint64(len(b.TicketKeys)))
	for _, key := range b.TicketKeys {
		p = append(p, key[:]...)
	}
	p = appendField(p, b.ClientCA)
	p = appendSources(p, b.Challenges)
	p = binary.AppendUvarint(p, uint64(len(b.Answers)))
	for _, token := range slices.Sorted(maps.Keys(b.Answers)) {
		p = appendField(appendField(p, token), b.Answers[token])
	}
	if len(b.Passwords) > 0 {
		p = binary.AppendUvarint(p, uint64(len(b.Passwords)))
	}
	for _, file := range b.Passwords {
		p = appendField(appendField(p, file.Name), file.Text)
	}
	if len(p) > MaxBundle {
		return nil, fmt.Errorf("certificates, keys and passwords have %d bytes together; the limit is %d", len(p), MaxBundle)
	}
	return p, nil
}

func appendSources(p []byte, sources []Source) []byte {
	p = binary.AppendUvarint(p, uint64(len(sources)))
	for _, src := range sources {
		p = appendField(appendField(appendField(p, src.Name), src.Chain), src.Key)
	}
	return p
}

func appendField[T string | []byte](p []byte, field T) []byte {
	return append(binary.AppendUvarint(p, uint64(len(field))), field...)
}

var errBundle = errors.New("damaged credentials")

// DecodeBundle decodes the output of [Bundle.Encode], and refuses anything else. It does not
// parse the certificates; see [Parse].
func DecodeBundle(p []byte) (*Bundle, error) {
	switch {
	case len(p) == 0 || len(p) > MaxBundle:
		return nil, fmt.Errorf("credentials of %d bytes: must be 1 to %d", len(p), MaxBundle)
	case p[0] != bundleVersion && p[0] != bundleVersionPassword:
		return nil, fmt.Errorf("credentials of version %d; this worker knows version %d", p[0], bundleVersionPassword)
	}
	r := fields{p: p[1:]}
	b := &Bundle{Certificates: r.sources()}
	for n := r.number(); n > 0 && !r.bad; n-- {
		var key [32]byte
		copy(key[:], r.take(uint64(len(key))))
		b.TicketKeys = append(b.TicketKeys, key)
	}
	b.ClientCA = r.field()
	b.Challenges = r.sources()
	for n := r.number(); n > 0 && !r.bad; n-- {
		if b.Answers == nil {
			b.Answers = map[string]string{}
		}
		token := string(r.field())
		b.Answers[token] = string(r.field())
	}
	if p[0] == bundleVersionPassword {
		for n := r.number(); n > 0 && !r.bad; n-- {
			b.Passwords = append(b.Passwords, Passwords{Name: string(r.field()), Text: r.field()})
		}
	}
	if r.bad || len(r.p) > 0 {
		return nil, errBundle
	}
	// Refuse any other encoding of the same bundle.
	if again, err := b.Encode(); err != nil || !bytes.Equal(again, p) {
		return nil, errBundle
	}
	return b, nil
}

// fields reads an encoded bundle.
type fields struct {
	p   []byte
	bad bool // p was too short
}

func (r *fields) number() uint64 {
	n, size := binary.Uvarint(r.p)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.p = r.p[size:]
	return n
}

// take returns the next n bytes; nil if there are none.
func (r *fields) take(n uint64) []byte {
	if n > uint64(len(r.p)) {
		r.bad = true
	}
	if r.bad || n == 0 {
		return nil
	}
	field := r.p[:n:n]
	r.p = r.p[n:]
	return field
}

func (r *fields) field() []byte { return r.take(r.number()) }

func (r *fields) sources() (list []Source) {
	for n := r.number(); n > 0 && !r.bad; n-- {
		list = append(list, Source{Name: string(r.field()), Chain: r.field(), Key: r.field()})
	}
	return list
}
