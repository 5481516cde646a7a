package acme

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"

	"phalanx/internal/certificate"
)

// takenTime limits the wait for the workers. One that has not loaded the response by then is
// probably hung, and the authority may reach another one.
const takenTime = 10 * time.Second

// offer publishes the response to a challenge and waits until the workers use it.
func (c *Client) offer(ctx context.Context, host string, ch protocol.Challenge) error {
	switch ch.Type {
	case HTTP01:
		c.offered = Published{Answers: map[string]string{ch.Token: ch.KeyAuthorization}}
	case TLSALPN01:
		proof, err := proof(host, ch.KeyAuthorization, c.Now())
		if err != nil {
			return err
		}
		c.offered = Published{Challenges: []certificate.Source{proof}}
	}
	c.publish()
	ctx, cancel := context.WithTimeout(ctx, takenTime)
	defer cancel()
	if err := c.Taken(ctx); err != nil {
		c.Log.Info().Str("host", host).Err(err).Msg("not all workers have the response to the challenge; continuing")
	}
	return nil
}

// withdraw removes the response from the workers.
func (c *Client) withdraw() {
	c.offered = Published{}
	c.publish()
}

// idPeAcmeIdentifier is the extension with the response (RFC 8737 §6.1).
var idPeAcmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// proof returns the certificate for a TLS-ALPN-01 challenge (RFC 8737 §3).
func proof(host, authorization string, now time.Time) (certificate.Source, error) {
	digest := sha256.Sum256([]byte(authorization))
	value, err := asn1.Marshal(digest[:])
	if err != nil {
		return certificate.Source{}, err
	}
	return certificate.SelfSign("challenge for "+host, &x509.Certificate{
		Subject: pkix.Name{CommonName: "ACME challenge"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, DNSNames: []string{host},
		ExtraExtensions: []pkix.Extension{{Id: idPeAcmeIdentifier, Critical: true, Value: value}},
	})
}
