package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"testing"

	"phalanx/internal/certificate"
)

// Servers with the same ticket keys resume each other's sessions, and a server with a new key
// before the old ones resumes older sessions.
func TestResumptionAcrossServers(t *testing.T) {
	src, pool := selfSigned(t, "example.org")
	set, err := certificate.Parse([]certificate.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	var configs [3]*Config
	for i, keys := range [][][32]byte{{{1}, {2}}, {{1}, {2}}, {{9}, {1}, {2}}} {
		if configs[i], err = NewConfig(Options{Certificates: set, TicketKeys: keys, Time: today}); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			client := &tls.Config{ServerName: "example.org", RootCAs: pool, Time: today, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			k.client(client)
			talk(t, newServer(configs[0]), client)
			for i := range 100 {
				cfg := configs[(i+1)%2]
				if i == 99 {
					cfg = configs[2]
				}
				s := newServer(cfg)
				if !talk(t, s, client).DidResume || !s.conn.Info().Resumed {
					t.Fatalf("connection %d did not resume", i)
				}
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	pair, authority := clientCertificate(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			cfg, client := setup(t, func(o *Options) { o.ClientCA = authority })
			k.client(client)
			client.Certificates = []tls.Certificate{pair}
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for _, resumed := range []bool{false, true} {
				s := newServer(cfg)
				talk(t, s, client)
				if info := s.conn.Info(); !info.ClientCertificate || info.Resumed != resumed {
					t.Errorf("%+v", info)
				}
			}
		})
	}
}

// A certificate authority gets the certificate of its challenge, and nothing else, also if clients need
// a certificate. No other client gets it.
func TestChallenge(t *testing.T) {
	src, pool := selfSigned(t, "example.org")
	challenges, err := certificate.Parse([]certificate.Source{src})
	if err != nil {
		t.Fatal(err)
	}
	pair, clients := clientCertificate(t)
	for _, needed := range [][]byte{nil, clients} {
		cfg, client := setup(t, func(o *Options) { o.Challenges, o.ClientCA = challenges, needed })
		client.Certificates = []tls.Certificate{pair}
		talk(t, newServer(cfg), client)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			authority := &tls.Config{ServerName: "example.org", RootCAs: pool, Time: today, NextProtos: []string{"acme-tls/1"}, MaxVersion: version}
			s := newServer(cfg)
			c := tls.Client(s, authority)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, "one\n")
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if reason := s.end(); reason != ReasonNone || c.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
				t.Errorf("%v", reason)
			}
			authority.ServerName = "example.net"
			if err, _ := fails(t, newServer(cfg), authority); err.Reason != ReasonCertificate {
				t.Errorf("another host: %v", err)
			}
		}
		if client.Certificates = nil; needed == nil {
			continue
		}
		client.NextProtos = append(client.NextProtos, "acme-tls/1")
		if err, _ := fails(t, newServer(cfg), client); err.Reason != ReasonUnauthorized {
			t.Errorf("a client without a certificate: %v", err)
		}
	}
}

// Of two certificates for a host, a client gets the one whose key type it supports, ECDSA if it
// supports both.
func TestKindsOfKeys(t *testing.T) {
	ec, pool := selfSigned(t, "example.org")
	rsa := rsaSigned(t, "example.org")
	pool.AppendCertsFromPEM(rsa.Chain)
	set, err := certificate.Parse([]certificate.Source{rsa, ec})
	if err != nil {
		t.Fatal(err)
	}
	cfg, client := setup(t, func(o *Options) { o.Certificates = set })
	client.RootCAs = pool
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		0: x509.ECDSA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: x509.RSA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: x509.ECDSA,
	} {
		if suite != 0 {
			only12(client)
			client.CipherSuites = []uint16{suite}
		} else {
			client.MaxVersion = 0
		}
		if got := talk(t, newServer(cfg), client).PeerCertificates[0].PublicKeyAlgorithm; got != want {
			t.Errorf("suite %x: %v", suite, got)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no certificates": {Time: today}, "no calendar": {Certificates: new(certificate.Set)},
		"no authority": {Certificates: new(certificate.Set), Time: today, ClientCA: []byte("x")},
	} {
		if _, err := NewConfig(o); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// Without ticket keys there are no tickets, although crypto/tls would generate keys.
func TestNoTickets(t *testing.T) {
	cfg, client := setup(t, func(o *Options) { o.TicketKeys = nil })
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		s := newServer(cfg)
		s.moved = func(c *Conn) *Conn { return c }
		if talk(t, s, client).DidResume {
			t.Error("the session was resumed")
		}
	}
}
