package https

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestSelfSigned starts with --tls-self-signed and -v: the log has the certificate's fingerprint, and the
// certificate is valid for the local names.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	s := harness.ServeAs(t, plan(base, "--tls-self-signed"))
	event := s.AwaitMessages(1, "self-signed certificate")[0]
	_, state, err := get(s.Port, &tls.Config{InsecureSkipVerify: true}, "/")
	if err != nil {
		t.Fatal(err)
	}
	cert := state.PeerCertificates[0]
	if got := fingerprint(cert); event.Text("fingerprint") != got {
		t.Errorf("the log has fingerprint %s, want %s", event.Text("fingerprint"), got)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := cert.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	if _, _, err := get(s.Port, &tls.Config{RootCAs: roots, ServerName: "localhost"}, "/"); err != nil {
		t.Errorf("a client that trusts the certificate: %v", err)
	}
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// TestSilentWithHTTPS expects no output without -v, whatever clients do, except for the fingerprint on a
// terminal.
func TestSilentWithHTTPS(t *testing.T) {
	t.Parallel()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	term := harness.OpenTerminal(t)
	for name, p := range map[string]harness.Plan{"pipe": {}, "terminal": {Tty: term.Slave, Env: []string{"TERM=xterm"}}} {
		port := harness.FreePort(t)
		p.Args = []string{"--base", base, "--listen", fmt.Sprintf("https://127.0.0.1:%d", port), "--tls-self-signed"}
		s := harness.Launch(t, p)
		var cert *x509.Certificate
		harness.Await(t, 15*time.Second, "a response", func() bool {
			_, state, err := get(port, &tls.Config{InsecureSkipVerify: true}, "/")
			if err == nil {
				cert = state.PeerCertificates[0]
			}
			return err == nil
		})
		if _, _, err := get(port, &tls.Config{ServerName: "localhost"}, "/"); err == nil {
			t.Error("a client that verifies certificates accepts the self-signed one")
		}
		for _, text := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "\x00"} {
			if c, err := harness.Connect(port); err == nil && c.Send(text) == nil {
				c.Close()
			}
		}
		if name == "terminal" {
			term.Await(regexp.MustCompile(`phalanx: self-signed certificate for localhost, SHA-256 fingerprint ` + fingerprint(cert)))
		}
		s.Stop(5 * time.Second)
		if text := s.Log.String() + s.Out.String(); text != "" {
			t.Errorf("%s: output %q, want none", name, text)
		}
	}
}
