// Package certificate parses and selects the certificates of a TLS server.
//
// Certificates are given as PEM bytes, not as paths, since workers may not be allowed to read
// the files. [Parse] makes a [Set] of them and refuses what no client would accept: a key that
// does not match, a chain out of order, no names. Only [Set.Check] depends on the time, so a
// worker can start with an expired certificate. A Set is immutable; [Set.Choose] selects the
// certificate for a client.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Source is a certificate as it was read.
type Source struct {
	Name  string // for messages, such as the path of the file
	Chain []byte // PEM: the certificate, then the intermediates, each signed by the next
	Key   []byte // PEM: the private key, not encrypted
}

// Set is the certificates of a server. The first is the default, for clients that name no host
// or an unknown one. The zero value has no certificate and refuses every client.
type Set struct {
	entries []entry
	byName  map[string][]int // entries by name, the preferred first; a wildcard as "*.example.org"
}

// entry is one certificate.
type entry struct {
	source string
	tls    tls.Certificate
	chain  []*x509.Certificate // the first is its leaf
}

// Parse makes a set of certificates. Errors name the source.
func Parse(sources []Source) (*Set, error) {
	s := &Set{byName: map[string][]int{}}
	for _, src := range sources {
		e, err := parse(src)
		if err != nil {
			return nil, fmt.Errorf("certificate %q: %w", src.Name, err)
		}
		s.entries = append(s.entries, e)
	}
	for i := range s.entries {
		for _, name := range names(s.entries[i].chain[0]) {
			s.add(name, i)
		}
	}
	return s, nil
}

// add adds an entry to the entries of a name, which are sorted by cost and then by their order
// in the sources.
func (s *Set) add(name string, i int) {
	name = strings.ToLower(name)
	at := len(s.byName[name])
	for at > 0 && s.entries[i].cost() < s.entries[s.byName[name][at-1]].cost() {
		at--
	}
	s.byName[name] = slices.Insert(s.byName[name], at, i)
}

// cost ranks key types. A handshake with ECDSA takes a tenth of the CPU time of one with RSA.
// Ed25519 comes last because no browser supports it.
func (e *entry) cost() int {
	switch e.chain[0].PublicKeyAlgorithm {
	case x509.ECDSA:
		return 0
	case x509.RSA:
		return 1
	}
	return 2
}

// ErrNone means that a set has no certificate for a client.
var ErrNone = errors.New("no certificate")

// Choose returns the certificate for a client: of those with the name in its hello, or else of
// those with a matching wildcard, the first whose key type the client supports, or the first
// if it supports none. It is used as GetCertificate of a tls.Config.
func (s *Set) Choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(s.entries) == 0 {
		return nil, ErrNone
	}
	list := s.candidates(canonical(hello.ServerName))
	if len(list) == 1 {
		return &s.entries[list[0]].tls, nil
	}
	nameless := *hello
	nameless.ServerName = "" // no variant of the default certificate has an unknown name
	for _, i := range list {
		if nameless.SupportsCertificate(&s.entries[i].tls) == nil {
			return &s.entries[i].tls, nil
		}
	}
	return &s.entries[list[0]].tls, nil
}

// Exactly returns the certificate that names the host without a wildcard.
func (s *Set) Exactly(host string) (*tls.Certificate, error) {
	list := s.byName[canonical(host)]
	if len(list) == 0 {
		return nil, ErrNone
	}
	return &s.entries[list[0]].tls, nil
}

func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// candidates returns the entries for a host, at least one.
func (s *Set) candidates(host string) []int {
	if list := s.byName[host]; len(list) > 0 {
		return list
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		if list := s.byName["*."+parent]; len(list) > 0 {
			return list
		}
	}
	// The default certificate may have variants with other key types.
	return s.byName[strings.ToLower(names(s.entries[0].chain[0])[0])]
}

// Check returns an error for the first certificate that is not valid at a time.
func (s *Set) Check(now time.Time) error {
	for i := range s.entries {
		for at, c := range s.entries[i].chain {
			if err := valid(at, c, now); err != nil {
				return fmt.Errorf("certificate %q: %w", s.entries[i].source, err)
			}
		}
	}
	return nil
}

func valid(at int, c *x509.Certificate, now time.Time) error {
	which := "it"
	if at > 0 {
		which = fmt.Sprintf("intermediate %d (%s)", at, c.Subject)
	}
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("%s is not valid before %s", which, c.NotBefore.UTC().Format(time.RFC3339))
	case now.After(c.NotAfter):
		return fmt.Errorf("%s expired on %s; renew it", which, c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
