package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// SelfSignedName is the Name of the sources that [SelfSigned] returns.
const SelfSignedName = "self-signed"

// SelfSigned makes a self-signed certificate with a new P-256 key, for testing a server. hosts
// are host names and IP addresses. It is valid from an hour before now, because clocks differ,
// until lifetime after now.
func SelfSigned(hosts []string, now time.Time, lifetime time.Duration) (Source, error) {
	if len(hosts) == 0 {
		return Source{}, errors.New("a certificate needs a host name")
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: hosts[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	src, err := SelfSign(SelfSignedName, template)
	if err != nil {
		return Source{}, fmt.Errorf("make certificate for %q: %w", hosts, err)
	}
	return src, nil
}

// SelfSign makes a certificate from a template, signed by its own new key.
func SelfSign(name string, template *x509.Certificate) (Source, error) {
	key, text, err := NewKey()
	if err != nil {
		return Source{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Source{}, err
	}
	return Source{Name: name, Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), Key: text}, nil
}

// NewKey makes a P-256 key, the cheapest in a handshake that every client supports, and
// returns it also as PEM.
func NewKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
