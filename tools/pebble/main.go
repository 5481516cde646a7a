// Command pebble runs Pebble, Let's Encrypt's certificate authority for tests, with a
// name server that resolves every host to 127.0.0.1. It prints the URL of its ACME
// directory as a line of JSON, and exits at the end of its standard input.
//
// It is a separate module, so that no other needs Pebble's dependencies.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// unknown is the domain for whose hosts the name server returns NXDOMAIN.
const unknown = ".unknown.test."

type settings struct {
	address, cert, key string
	http, tls          int
	lifetime, short    uint64
	blocked, binding   string
}

func main() {
	var s settings
	flag.StringVar(&s.address, "address", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&s.cert, "cert", "", "certificate of the CA's HTTPS server")
	flag.StringVar(&s.key, "key", "", "private key of that certificate")
	flag.IntVar(&s.http, "http", 80, "port for HTTP-01")
	flag.IntVar(&s.tls, "tls", 443, "port for TLS-ALPN-01")
	flag.Uint64Var(&s.lifetime, "lifetime", 90*24*3600, "lifetime of certificates in seconds")
	flag.Uint64Var(&s.short, "short", 6*24*3600, "lifetime of certificates with the profile short, in seconds")
	flag.StringVar(&s.blocked, "blocked", "", "host that is refused a certificate")
	flag.StringVar(&s.binding, "binding", "", "ID:KEY of the external account binding that new accounts need")
	flag.Parse()
	if err := s.run(); err != nil {
		log.Fatal(err)
	}
}

func (s settings) run() error {
	names, err := serveNames()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	handler, err := s.authority(names)
	if err != nil {
		return err
	}
	ready := map[string]string{"Directory": "https://" + listener.Addr().String() + wfe.DirectoryPath}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	failed := make(chan error, 2) // one from each goroutine below
	go func() { failed <- http.ServeTLS(listener, handler, s.cert, s.key) }()
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

// authority assembles Pebble as its own command does. names is the address of the name
// server.
func (s settings) authority(names string) (http.Handler, error) {
	logger := log.New(os.Stderr, "pebble ", log.LstdFlags|log.Lmicroseconds)
	store := db.NewMemoryStore()
	id, key, bound := strings.Cut(s.binding, ":")
	if bound {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, err
		}
	}
	if s.blocked != "" {
		if err := store.AddBlockedDomain(s.blocked); err != nil {
			return nil, err
		}
	}
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"default": {Description: "as usual", ValidityPeriod: s.lifetime},
		"short":   {Description: "short-lived", ValidityPeriod: s.short},
	})
	validator := va.New(logger, s.http, s.tls, false, names, store)
	front := wfe.New(logger, store, validator, issuer, []string{"pebble.test"}, false, bound, 0, 0)
	return front.Handler(), nil
}

// serveNames starts the name server and returns its address.
func serveNames() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(resolve)}
	go func() {
		if err := server.ActivateAndServe(); err != nil {
			log.Fatal(err)
		}
	}()
	return listener.Addr().String(), nil
}

func resolve(w dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg).SetReply(question)
	for _, q := range question.Question {
		switch {
		case strings.HasSuffix(strings.ToLower(q.Name), unknown):
			reply.Rcode = dns.RcodeNameError
		case q.Qtype == dns.TypeA:
			record, err := dns.NewRR(fmt.Sprintf("%s 1 IN A 127.0.0.1", q.Name))
			if err == nil {
				reply.Answer = append(reply.Answer, record)
			}
		}
	}
	if err := w.WriteMsg(reply); err != nil {
		log.Print(err)
	}
}
