package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

var calendar = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue issues a certificate, signed by another one or, if by is nil, by itself. It is
// that of an authority if there are no hosts.
func issue(t testing.TB, by *pair, key crypto.Signer, change func(*x509.Certificate), hosts ...string) *pair {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, NotBefore: calendar.Add(-time.Hour), NotAfter: calendar.Add(90 * 24 * time.Hour), DNSNames: hosts,
		BasicConstraintsValid: true, IsCA: len(hosts) == 0,
	}
	if len(hosts) > 0 {
		template.Subject.CommonName = hosts[0]
	} else {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{cert, key}
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// chainPEM returns certificates in order, in PEM.
func chainPEM(chain ...*pair) (text []byte) {
	for _, p := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})...)
	}
	return text
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func source(t testing.TB, name string, chain ...*pair) Source {
	t.Helper()
	return Source{Name: name, Chain: chainPEM(chain...), Key: keyPEM(t, chain[0].key)}
}

func TestRefused(t *testing.T) {
	root := issue(t, nil, ecKey(t), nil)
	middle := issue(t, root, ecKey(t), func(c *x509.Certificate) { c.Subject.CommonName = "middle" })
	leaf := issue(t, middle, ecKey(t), nil, "example.org")
	key := keyPEM(t, leaf.key)
	other := keyPEM(t, ecKey(t))
	long := []*pair{leaf, middle}
	for range maxChain {
		long = append(long, root)
	}
	with := func(change func(*x509.Certificate)) []byte {
		return chainPEM(issue(t, middle, leaf.key, change, "example.org"))
	}
	weak := issue(t, middle, rsaKey(t, 1024), nil, "example.org")
	for _, c := range []struct {
		name       string
		chain, key []byte
		want       string
	}{
		{"nothing", nil, key, "no certificate in PEM form"},
		{"DER", leaf.cert.Raw, key, "no certificate in PEM form"},
		{"key for certificate", key, key, "no certificate in PEM form"},
		{"damaged", []byte(strings.Replace(string(chainPEM(leaf)), "MII", "MIA", 1)), key, "certificate 1 of the chain: x509: "},
		{"damaged behind", append(chainPEM(leaf), "-----BEGIN CERTIFICATE-----\nMIIB\n"...), key, "certificate 2 of the chain is damaged"},
		{"too long", chainPEM(long...), key, "more than 10 certificates in the chain"},
		{"another's key", chainPEM(leaf), other, "the private key does not belong to the certificate"},
		{"another kind of key", chainPEM(leaf), keyPEM(t, rsaKey(t, 2048)), "the private key does not belong to the certificate"},
		{"no key", chainPEM(leaf), nil, "no private key in PEM form"},
		{"certificate for key", chainPEM(leaf), chainPEM(leaf), "no private key in PEM form"},
		{"two keys", chainPEM(leaf), append(slices.Clone(key), other...), "more than one private key"},
		{"encrypted key", chainPEM(leaf), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"), "the private key is encrypted"},
		{"encrypted old key", chainPEM(leaf), []byte("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END EC PRIVATE KEY-----\n"), "the private key is encrypted"},
		{"damaged key", chainPEM(leaf), []byte("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"), "parse private key"},
		{"upside down", chainPEM(middle, leaf), keyPEM(t, middle.key), "it names no host"},
		{"upside down with names", chainPEM(issue(t, root, ecKey(t), func(c *x509.Certificate) { c.IsCA = true }, "ca.example.org"), leaf), key, "the chain is upside down"},
		{"a gap", chainPEM(leaf, root), key, `certificate 2 of the chain (CN=authority) did not sign`},
		{"an unrelated certificate", chainPEM(leaf, middle, issue(t, nil, ecKey(t), nil)), key, "certificate 3 of the chain"},
		{"no names", chainPEM(issue(t, middle, leaf.key, func(c *x509.Certificate) { c.DNSNames = nil }, "example.org")), key, "it names no host"},
		{"for clients", with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), key, "not for servers"},
		{"weak RSA", chainPEM(weak), keyPEM(t, weak.key), "its RSA key has 1024 bits; at least 2048 are needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]Source{{Name: "a.pem", Chain: c.chain, Key: c.key}})
			if err == nil || !strings.HasPrefix(err.Error(), `certificate "a.pem": `) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := checkLeaf(&x509.Certificate{PublicKey: "a key of another kind"}); err == nil || !strings.Contains(err.Error(), "cannot be used with TLS") {
		t.Errorf("a key of another kind: %v", err)
	}
}

// Certificates and keys are read in all forms in which tools write them.
func TestForms(t *testing.T) {
	ec, old := ecKey(t).(*ecdsa.PrivateKey), rsaKey(t, 2048).(*rsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	leaf, other := chainPEM(issue(t, nil, ec, nil, "example.org")), chainPEM(issue(t, nil, old, nil, "example.org"))
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	openssl := append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), key...)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(old)})
	both := append(slices.Clone(leaf), openssl...)
	for name, src := range map[string]Source{
		"SEC 1": {"a", leaf, key}, "with parameters": {"a", leaf, openssl}, "PKCS 1": {"a", other, pkcs1}, "PKCS 8": {"a", leaf, keyPEM(t, ec)},
		"one file": {"a", both, both}, "key first": {"a", append(slices.Clone(openssl), leaf...), openssl},
		"lines of DOS": {"a", []byte(strings.ReplaceAll(string(leaf), "\n", "\r\n")), []byte(strings.ReplaceAll(string(key), "\n", "\r\n"))},
		"text around":  {"a", append([]byte("subject=CN=x\n"), leaf...), append(slices.Clone(key), "\nthe end\n"...)},
	} {
		if _, err := Parse([]Source{src}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate that is not valid now does not prevent the creation of a set.
func TestCheck(t *testing.T) {
	root := issue(t, nil, ecKey(t), nil)
	short := issue(t, root, ecKey(t), func(c *x509.Certificate) { c.Subject.CommonName, c.NotAfter = "short", calendar.Add(time.Hour) })
	leaf := issue(t, short, ecKey(t), nil, "example.org")
	set, err := Parse([]Source{source(t, "a.pem", leaf, short, root)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, ""},
		{-2 * time.Hour, `certificate "a.pem": it is not valid before 2026-11-25T23:00:00Z`},
		{2 * time.Hour, `certificate "a.pem": intermediate 1 (CN=short) expired on 2026-11-26T01:00:00Z; renew it`},
		{100 * 24 * time.Hour, `certificate "a.pem": it expired on 2027-02-24T00:00:00Z; renew it`},
	} {
		got := ""
		if err := set.Check(calendar.Add(c.after)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("after %v: %s", c.after, got)
		}
	}
	if info := set.List()[0]; !info.NotAfter.Equal(calendar.Add(time.Hour)) || info.Issuer != "CN=short" {
		t.Errorf("%+v", info)
	}
}

func TestChoose(t *testing.T) {
	root := issue(t, nil, ecKey(t), nil)
	rsa2048 := rsaKey(t, 2048)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Parse([]Source{
		source(t, "default", issue(t, root, rsa2048, nil, "Example.org")),
		source(t, "ed", issue(t, root, edKey, nil, "www.example.org")),
		source(t, "rsa", issue(t, root, rsa2048, nil, "www.example.org", "*.example.org")),
		source(t, "ec", issue(t, root, ecKey(t), nil, "www.example.org")),
		source(t, "second", issue(t, root, ecKey(t), nil, "www.example.org", "other.example.org")),
		source(t, "address", issue(t, root, ecKey(t), func(c *x509.Certificate) { c.IPAddresses = append(c.IPAddresses, []byte{127, 0, 0, 1}) }, "x.test")),
	})
	if err != nil {
		t.Fatal(err)
	}
	all := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.Ed25519}
	for _, c := range []struct {
		host    string
		schemes []tls.SignatureScheme
		want    string
	}{
		{"www.example.org", all, "ec"},
		{"WWW.Example.ORG.", all, "ec"},
		{"www.example.org", all[1:], "rsa"},
		{"www.example.org", all[2:], "ed"},
		{"www.example.org", []tls.SignatureScheme{tls.ECDSAWithP521AndSHA512}, "ec"},
		{"other.example.org", all, "second"},
		{"any.example.org", all, "rsa"},
		{"two.any.example.org", all, "default"},
		{"example.org", all, "default"},
		{"example.net", all, "default"},
		{"localhost", all, "default"},
		{"", all, "default"},
	} {
		hello := &tls.ClientHelloInfo{
			ServerName: c.host, SignatureSchemes: c.schemes, SupportedVersions: []uint16{tls.VersionTLS13},
			SupportedCurves: []tls.CurveID{tls.X25519},
		}
		got, err := set.Choose(hello)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(set.entries, func(e entry) bool { return slices.Equal(e.tls.Certificate[0], got.Certificate[0]) })
		if name := set.entries[i].source; name != c.want {
			t.Errorf("%q with %v: %s, want %s", c.host, c.schemes, name, c.want)
		}
	}
	for host, want := range map[string]error{"WWW.example.org": nil, "any.example.org": ErrNone, "": ErrNone} {
		if _, err := set.Exactly(host); err != want {
			t.Errorf("exactly %q: %v", host, err)
		}
	}
	if _, err := new(Set).Choose(&tls.ClientHelloInfo{}); err != ErrNone {
		t.Errorf("an empty set: %v", err)
	}
}

// A client that names an unknown host gets the default certificate with a key type that it
// supports too.
func TestChooseDefault(t *testing.T) {
	root := issue(t, nil, ecKey(t), nil)
	set, err := Parse([]Source{
		source(t, "ec", issue(t, root, ecKey(t), nil, "example.org")),
		source(t, "rsa", issue(t, root, rsaKey(t, 2048), nil, "example.org")),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, scheme := range []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256} {
		for _, host := range []string{"example.org", "example.net", "127.0.0.1", ""} {
			got, err := set.Choose(&tls.ClientHelloInfo{
				ServerName: host, SignatureSchemes: []tls.SignatureScheme{scheme}, SupportedVersions: []uint16{tls.VersionTLS13},
				SupportedCurves: []tls.CurveID{tls.X25519},
			})
			if err != nil || !slices.Equal(got.Certificate[0], set.entries[i].tls.Certificate[0]) {
				t.Errorf("%q with %v: not %s, %v", host, scheme, set.entries[i].source, err)
			}
		}
	}
}

func TestSelfSigned(t *testing.T) {
	src, err := SelfSigned([]string{"example.org", "127.0.0.1", "::1"}, calendar, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Parse([]Source{src})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Check(calendar); err != nil {
		t.Error(err)
	}
	info := set.List()[0]
	if !slices.Equal(info.Names, []string{"example.org", "127.0.0.1", "::1"}) || info.Algorithm != "ECDSA" || info.Source != SelfSignedName {
		t.Errorf("%+v", info)
	}
	if text := info.Fingerprint; len(text) != 32*3-1 || strings.Trim(text, "0123456789ABCDEF:") != "" {
		t.Errorf("fingerprint %q", text)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(src.Chain)
	for _, host := range info.Names {
		if _, err := set.entries[0].chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: calendar}); err != nil {
			t.Error(err)
		}
	}
	for _, hosts := range [][]string{nil, {"exämple.org"}} {
		if _, err := SelfSigned(hosts, calendar, time.Hour); err == nil {
			t.Errorf("the certificate is for %q", hosts)
		}
	}
}

// A file may contain anything. No error message contains a part of a key.
func FuzzParse(f *testing.F) {
	root := issue(f, nil, ecKey(f), nil)
	leaf := issue(f, root, ecKey(f), nil, "example.org")
	src := source(f, "a.pem", leaf, root)
	f.Add(src.Chain, src.Key)
	f.Add(append(src.Chain, src.Key...), append(src.Chain, src.Key...))
	f.Add(src.Key, src.Chain)
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		set, err := Parse([]Source{{Name: "a.pem", Chain: chain, Key: key}})
		if err != nil {
			return
		}
		set.Check(calendar)
		if list := set.List(); len(list) != 1 || len(list[0].Names) == 0 {
			t.Errorf("%+v", list)
		}
		if _, err := set.Choose(&tls.ClientHelloInfo{}); err != nil {
			t.Error(err)
		}
	})
}
