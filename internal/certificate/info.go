package certificate

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// Info describes a certificate.
type Info struct {
	Source      string // the name of its Source
	Names       []string
	Issuer      string
	Algorithm   string // of the key: ECDSA, RSA or Ed25519
	Fingerprint string // SHA-256, in the form of OpenSSL and browsers: AB:CD:…
	NotBefore   time.Time
	NotAfter    time.Time // of the certificate or of an intermediate, whichever is the earliest
}

func fingerprint(certificate []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(certificate)), " ", ":")
}

// List describes the certificates, the default first.
func (s *Set) List() []Info {
	list := make([]Info, 0, len(s.entries))
	for i := range s.entries {
		e := &s.entries[i]
		leaf := e.chain[0]
		info := Info{
			Source: e.source, Names: names(leaf),
			Issuer:      leaf.Issuer.String(),
			Algorithm:   leaf.PublicKeyAlgorithm.String(),
			Fingerprint: fingerprint(leaf.Raw),
			NotBefore:   leaf.NotBefore, NotAfter: leaf.NotAfter,
		}
		for _, c := range e.chain[1:] {
			if c.NotAfter.Before(info.NotAfter) {
				info.NotAfter = c.NotAfter
			}
		}
		list = append(list, info)
	}
	return list
}
