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
	"math/big"
	"net/netip"
	"time"
)

// SelfSignedName is the name of a source that [SelfSigned] made.
const SelfSignedName = "self-signed"

// SelfSigned makes a self-signed certificate for tests of a server: with a new P-256
// key, for hosts and addresses, valid until lifetime after now, and from an hour before
// now because clocks differ.
func SelfSigned(hosts []string, now time.Time, lifetime time.Duration) (Source, error) {
	if len(hosts) == 0 {
		return Source{}, errors.New("a certificate needs the name of a host")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Source{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: hosts[0]},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(lifetime),
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

// SelfSign makes a certificate from a template, with a new key that signs it.
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

// NewKey makes a private key, and returns it as PEM too. It is of the type that costs least in a
// handshake among those that every client supports.
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
