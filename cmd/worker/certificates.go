package main

import (
	"slices"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/options"
	"phalanx/internal/serve"
	"phalanx/internal/tlsconn"
	"phalanx/internal/website"
)

func secure(listeners []serve.Listener) bool {
	return slices.ContainsFunc(listeners, func(l serve.Listener) bool { return l.Secure })
}

// securePort returns the HTTPS port to which plain HTTP requests are redirected; 0: they are
// served.
func securePort(plain options.Plain, listeners []serve.Listener) uint16 {
	var ports []int
	for _, l := range listeners {
		if port := serve.Port(l.FD); l.Secure && port != 0 {
			ports = append(ports, port)
		}
	}
	return uint16(plain.SecurePort(ports))
}

// credentials applies the passwords of a bundle, and returns its certificates and keys as an
// order for the engine.
func credentials(b *certificate.Bundle, p *website.Passwords, secure, http2 bool) (serve.Order, error) {
	if err := usePasswords(p, b.Passwords); err != nil {
		return nil, err
	}
	if !secure {
		return serve.Confirm(func() {}), nil
	}
	o := tlsconn.Options{TicketKeys: b.TicketKeys, ClientCA: b.ClientCA, Time: time.Now}
	if http2 {
		o.Protocols = append(o.Protocols, tlsconn.ProtocolHTTP2) // preferred
	}
	o.Protocols = append(o.Protocols, tlsconn.ProtocolHTTP1)
	var err error
	if o.Certificates, err = certificate.Parse(b.Certificates); err != nil {
		return nil, err
	}
	if len(b.Challenges) > 0 {
		if o.Challenges, err = certificate.Parse(b.Challenges); err != nil {
			return nil, err
		}
	}
	cfg, err := tlsconn.NewConfig(o)
	if err != nil {
		return nil, err
	}
	return serve.Credentials{TLS: cfg, Challenges: b.Answers}, nil
}
