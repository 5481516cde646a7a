package https

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestChooseCertificate connects with different server names: exact names are preferred to wildcards and
// ECDSA to RSA, and unknown hosts get the first certificate.
func TestChooseCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	until := time.Now().Add(100 * time.Hour)
	all := []issued{
		a.issue(rsaKey(t), until, "www.example.test"), a.issue(ecKey(t), until, "www.example.test"), a.issue(ecKey(t), until, "*.example.test"),
	}
	var flags []string
	for _, c := range all {
		flags = append(flags, a.save(c).flags()...)
	}
	s := harness.ServeAs(t, plan(harness.Tree(t, map[string]string{"index.html": "front"}), flags...))
	const rsaOnly = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	for _, c := range []struct {
		host   string
		suites []uint16
		want   int
	}{
		{"www.example.test", nil, 1}, {"www.example.test", []uint16{rsaOnly}, 0}, {"other.example.test", nil, 2},
		{"a.b.example.test", nil, 1}, {"elsewhere.test", nil, 1}, {"", nil, 1},
	} {
		cfg := &tls.Config{ServerName: c.host, InsecureSkipVerify: true}
		if c.suites != nil {
			cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, c.suites
		}
		_, state, err := get(s.Port, cfg, "/")
		if err != nil {
			t.Fatal(err)
		}
		got := pemOf("CERTIFICATE", state.PeerCertificates[0].Raw)
		if i := slices.IndexFunc(all, func(c issued) bool { return bytes.Equal(c.cert, got) }); i != c.want {
			t.Errorf("%q with cipher suites %x: certificate %d, want %d", c.host, c.suites, i, c.want)
		}
	}
}

// TestClientCertificate requires a client certificate of --tls-client-ca.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	s := harness.ServeAs(t, plan(harness.Tree(t, map[string]string{"index.html": "front"}),
		append(a.save(a.fresh()).flags(), "--tls-client-ca", a.file)...))
	for name, c := range map[string]issued{"none": {}, "of another authority": other.fresh(), "its own": a.fresh()} {
		cfg := a.config()
		if c.cert != nil {
			pair, err := tls.X509KeyPair(c.cert, c.key)
			if err != nil {
				t.Fatal(err)
			}
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		_, _, err := get(s.Port, cfg, "/")
		if ok := err == nil; ok != (name == "its own") {
			t.Errorf("client certificate %s: error %v", name, err)
		}
	}
}

// TestInvalidCertificateFlags gives invalid certificates and flags: the start and --check refuse each with
// one line and the right exit status.
func TestInvalidCertificateFlags(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	good, other := a.fresh(), a.fresh()
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	ok, wrong := a.save(good), a.save(issued{cert: good.cert, key: other.key})
	expired := a.save(a.issue(ecKey(t), time.Now().Add(-time.Hour), "localhost"))
	inside := files{ok.cert, base + "/key.pem"}
	harness.Write(t, inside.key, good.key)
	const https, plain = "https://127.0.0.1:0", "http://127.0.0.1:0"
	for _, c := range []struct {
		name, listen string
		flags        []string
		code         int
		want         string // in the one line of output
		checkOnly    bool   // the start accepts it
	}{
		{"no certificate", https, nil, 64, "https: no certificate", false},
		{"no https", plain, ok.flags(), 64, "no HTTPS address", false},
		{"no key", https, []string{"--tls-cert", ok.cert}, 78, "no private key in PEM form", false},
		{"two keys", https, append(ok.flags(), "--tls-key", wrong.key), 64, "1 certificate and 2 keys", false},
		{"wrong key", https, wrong.flags(), 78, "the private key does not belong to the certificate", false},
		{"no file", https, []string{"--tls-cert", "/no/such/file"}, 78, "no such file or directory", false},
		{"directory", https, []string{"--tls-cert", base}, 78, "not a regular file", false},
		{"no authority", https, append(ok.flags(), "--tls-client-ca", ok.key), 78, "client CA ", false},
		{"key in the site", https, inside.flags(), 78, "lies in the document root", false},
		{"expired", https, expired.flags(), 78, "it expired on ", true},
	} {
		for _, check := range []bool{false, true} {
			if c.checkOnly && !check {
				continue
			}
			args := append([]string{"--base", base, "--listen", c.listen}, c.flags...)
			if check {
				args = append(args, "--check")
			}
			code, words := outcome(t, args...)
			if code != c.code || !strings.HasPrefix(words, "master: ") || !strings.Contains(words, c.want) || strings.Contains(words, "\n") {
				t.Errorf("%s, check %v: exit status %d, output %s; want status %d with %q", c.name, check, code, words, c.code, c.want)
			}
		}
	}
	if code, words := outcome(t, append([]string{"--base", base, "--listen", https, "--check"}, ok.flags()...)...); code != 0 {
		t.Errorf("a valid certificate: exit status %d, output %s", code, words)
	}
	s := harness.ServeAs(t, plan(base, expired.flags()...))
	s.AwaitText("expired on ")
	if _, _, err := get(s.Port, &tls.Config{InsecureSkipVerify: true}, "/"); err != nil {
		t.Errorf("a request to a server that started with an expired certificate: %v", err)
	}
}
