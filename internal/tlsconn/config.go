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
	// TicketKeys protect the tickets by which sessions are resumed: the first
	// makes them, all open them. Servers with the same keys resume each other's
	// sessions. Without keys there are no tickets.
	TicketKeys [][32]byte
	ClientCA   []byte   // PEM; not empty: clients need a certificate of one of these
	Protocols  []string // for ALPN, the preferred first
	// Challenges are certificates by which a certificate authority is shown that
	// a host is served here (TLS-ALPN-01, RFC 8737); it alone sees them. nil: none.
	Challenges *certificate.Set
	Time       func() time.Time // the calendar, for tickets and clients' certificates
}

// Config is what connections have in common. It is immutable, and connections
// of several goroutines may share it. New certificates or keys need a new Config;
// existing connections keep the old one.
type Config struct {
	tls *tls.Config
}

// Mozilla's intermediate set, without the finite-field suites that Go does not
// have. TLS 1.3 has no choice of suites in Go, and all of its are in the set.
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
		return nil, errors.New("TLS needs certificates and a calendar")
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
			return nil, errors.New("no certificate in PEM form among the clients' authorities")
		}
	}
	return &Config{tls: c}, nil
}

// The names of HTTP's versions in ALPN.
const (
	ProtocolHTTP1 = "http/1.1"
	ProtocolHTTP2 = "h2"
)

// protocolChallenge is the only protocol that an authority offers for a challenge.
const protocolChallenge = "acme-tls/1"

// choose finds the certificate for a client.
func (o *Options) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if o.Challenges != nil && slices.Equal(hello.SupportedProtos, []string{protocolChallenge}) {
		return o.Challenges.Exactly(hello.ServerName)
	}
	return o.Certificates.Choose(hello)
}

// Info describes a connection whose handshake is done.
type Info struct {
	Version           uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Suite             uint16
	Curve             tls.CurveID // of the key exchange
	Resumed           bool
	ClientCertificate bool
	ServerName        string // that the client asked for; empty: none
	Protocol          string // one of Options.Protocols; empty: the client named none
}
