package https

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// authority issues certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
	pool *x509.CertPool
	file string // path of its certificate

	revocation string // URL of its OCSP server, added to certificates unless empty
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: ecKey(t), pool: x509.NewCertPool(), file: filepath.Join(harness.OpenDir(t), "ca.pem")}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of a test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(3000 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	harness.Write(t, a.file, pemOf("CERTIFICATE", der))
	return a
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// issued is a certificate with its key, in PEM.
type issued struct{ cert, key []byte }

// issue issues a certificate for hosts and 127.0.0.1.
func (a *authority) issue(key crypto.Signer, until time.Time, hosts ...string) issued {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: time.Now().Add(-100 * time.Hour), NotAfter: until,
		DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if a.revocation != "" {
		template.OCSPServer = []string{a.revocation}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return issued{pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", secret)}
}

// fresh issues an ECDSA certificate for hosts and localhost that is valid for 1900 hours.
func (a *authority) fresh(hosts ...string) issued {
	a.t.Helper()
	return a.issue(ecKey(a.t), time.Now().Add(1900*time.Hour), append(hosts, "localhost")...)
}

// files are the paths of a certificate and its key.
type files struct{ cert, key string }

// save writes a certificate and its key into a new directory.
func (a *authority) save(c issued) files {
	a.t.Helper()
	dir := harness.OpenDir(a.t)
	f := files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.write(a.t, c)
	return f
}

// write replaces both files with rename(2), the certificate first, as ACME clients do.
func (f files) write(t *testing.T, c issued) {
	t.Helper()
	for _, file := range []struct {
		path string
		text []byte
	}{{f.cert, c.cert}, {f.key, c.key}} {
		if err := os.WriteFile(file.path+".new", file.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file.path+".new", file.path); err != nil {
			t.Fatal(err)
		}
	}
}

func (f files) flags() []string { return []string{"--tls-cert", f.cert, "--tls-key", f.key} }

// plan returns the plan for a server that logs requests, on a free port of 127.0.0.1.
func plan(base string, args ...string) harness.Plan {
	return harness.Plan{Args: append([]string{"--base", base, "--listen", "https://127.0.0.1:0", "-v"}, args...)}
}

// dial opens a TLS connection.
func dial(port int, cfg *tls.Config) (*harness.Client, tls.ConnectionState, error) {
	d := &net.Dialer{Timeout: harness.ClientTimeout}
	conn, err := tls.DialWithDialer(d, "tcp", harness.Loopback(port), cfg)
	if err != nil {
		return nil, tls.ConnectionState{}, err
	}
	if err := conn.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
		conn.Close()
		return nil, tls.ConnectionState{}, err
	}
	return &harness.Client{Conn: conn, In: bufio.NewReader(conn)}, conn.ConnectionState(), nil
}

// get makes a request on a connection of its own.
func get(port int, cfg *tls.Config, path string) (*harness.Reply, tls.ConnectionState, error) {
	c, state, err := dial(port, cfg)
	if err != nil {
		return nil, state, err
	}
	defer c.Close()
	r, err := c.Ask(harness.Request("GET", path))
	return r, state, err
}

func (a *authority) config() *tls.Config {
	return &tls.Config{RootCAs: a.pool, ServerName: "localhost"}
}

// shown returns the certificate that a server presents, in PEM.
func shown(t *testing.T, port int, cfg *tls.Config) string {
	t.Helper()
	_, state, err := get(port, cfg, "/")
	if err != nil {
		t.Fatal(err)
	}
	return string(pemOf("CERTIFICATE", state.PeerCertificates[0].Raw))
}

// awaitShown waits until a server presents a certificate.
func awaitShown(t *testing.T, port int, cfg *tls.Config, want issued) {
	t.Helper()
	harness.Await(t, 10*time.Second, "the new certificate", func() bool { return shown(t, port, cfg) == string(want.cert) })
}

// outcome runs a master that exits by itself, and returns its exit status and all of its output.
func outcome(t *testing.T, args ...string) (int, string) {
	t.Helper()
	s := harness.Launch(t, harness.Plan{Args: args})
	code := s.Wait(harness.InTime(15 * time.Second))
	return code, strings.TrimSpace(s.Out.String() + s.Log.String())
}
