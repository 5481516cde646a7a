package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"phalanx/internal/certificate"
)

// Options are a server's TLS settings.
type Options struct {
	Certificates *certificate.Set
	// TicketKeys encrypt session tickets: the first encrypts new ones, all decrypt. Servers
	// with the same keys resume each other's sessions. Without keys there are no tickets.
	TicketKeys [][32]byte
	ClientCA   []byte   // PEM; not empty: clients need a certificate of one of these authorities
	Protocols  []string // for ALPN, the preferred first
	// Challenges are certificates for TLS-ALPN-01 challenges (RFC 8737), which only
	// certificate authorities receive. nil: none.
	Challenges *certificate.Set
	Time       func() time.Time // wall clock, for tickets and client certificates
}

// Config is the configuration that connections share. It is immutable and safe for concurrent
// use. New certificates or keys need a new Config; existing connections keep the old one.
type Config struct {
	tls *tls.Config
}

// Mozilla's intermediate configuration, without the finite-field suites, which Go lacks. Go
// does not let a server choose the suites of TLS 1.3; all of them are in Mozilla's list.
var (
	suites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	groups = []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}
)

// NewConfig makes a configuration: TLS 1.2 and 1.3, no early data.
func NewConfig(o Options) (*Config, error) {
	if o.Certificates == nil || o.Time == nil {
		return nil, errors.New("TLS needs certificates and a clock")
	}
	c := &tls.Config{
		Time:                   o.Time,
		GetCertificate:         o.choose,
		NextProtos:             slices.Clone(o.Protocols),
		MinVersion:             tls.VersionTLS12,
		CipherSuites:           suites,
		CurvePreferences:       groups,
		SessionTicketsDisabled: len(o.TicketKeys) == 0,
	}
	if len(o.TicketKeys) > 0 {
		c.SetSessionTicketKeys(o.TicketKeys)
	}
	if o.Challenges != nil {
		c.NextProtos = append(c.NextProtos, protocolChallenge)
	}
	if len(o.ClientCA) > 0 {
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(o.ClientCA) {
			return nil, errors.New("no certificate in PEM form in the client CA file")
		}
		if o.Challenges != nil {
			c.GetConfigForClient = o.exempt(c.Clone())
		}
	}
	return &Config{tls: c}, nil
}

// The ALPN protocol names of HTTP/1.1 and HTTP/2.
const (
	ProtocolHTTP1 = "http/1.1"
	ProtocolHTTP2 = "h2"
)

// protocolChallenge is the only ALPN protocol that a certificate authority offers in a
// challenge.
const protocolChallenge = "acme-tls/1"

// challenged reports whether the client is a certificate authority that makes a challenge.
func (o *Options) challenged(hello *tls.ClientHelloInfo) bool {
	return o.Challenges != nil && slices.Equal(hello.SupportedProtos, []string{protocolChallenge})
}

// exempt returns a GetConfigForClient by which a certificate authority needs no client certificate
// (RFC 8737 §3): it gets nothing but the certificate of its challenge.
func (o *Options) exempt(c *tls.Config) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.ClientAuth = tls.NoClientCert
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if o.challenged(hello) {
			return c, nil
		}
		return nil, nil // the client gets the usual configuration
	}
}

// choose returns the certificate for a client.
func (o *Options) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if o.challenged(hello) {
		return o.Challenges.Exactly(hello.ServerName)
	}
	return o.Certificates.Choose(hello)
}

// Info describes a connection after its handshake.
type Info struct {
	Version           uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Suite             uint16
	Curve             tls.CurveID // of the key exchange
	Resumed           bool
	ClientCertificate bool
	ServerName        string // from the client's hello; empty: none
	Protocol          string // one of Options.Protocols; empty: the client named none
}
