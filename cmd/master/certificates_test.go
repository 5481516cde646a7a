package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/keyring"
	"phalanx/internal/options"
)

// The warning names exactly the hosts of sites without a certificate. A wildcard stands for one
// label.
func TestUncertified(t *testing.T) {
	src, err := certificate.SelfSigned([]string{"a.example", "*.b.example", "192.0.2.1", "2001:db8::1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(file, append(src.Chain, src.Key...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		hosts []string
		want  string
	}{
		{nil, ""},
		{[]string{"a.example", "x.b.example", "*.b.example", "192.0.2.1", "[2001:db8::1]", "c.example"}, ""},
		{[]string{"a.example", "b.example"}, "no certificate for b.example; browsers refuse HTTPS there; add --tls-cert FILE or --acme HOST"},
		{[]string{"x.y.b.example", "*.a.example", "[::1]"}, "no certificate for x.y.b.example and 2 more hosts of --site; browsers refuse HTTPS there; add --tls-cert FILE or --acme HOST"},
	} {
		o := options.Options{TLSCert: []options.File{options.File(file)}, ACME: []options.Hosts{"c.example"}}
		if test.hosts != nil {
			o.Site = []options.Site{{Hosts: test.hosts}}
		}
		loaded, err := loadCertificates(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := uncertified(o, loaded); got != test.want {
			t.Errorf("%q: %q, want %q", test.hosts, got, test.want)
		}
	}
	plain := options.Options{Site: []options.Site{{Hosts: []string{"b.example"}}}}
	if got := uncertified(plain, new(keyring.Loaded)); got != "" {
		t.Errorf("without HTTPS: %q", got)
	}
}
