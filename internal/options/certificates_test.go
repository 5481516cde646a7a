package options

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"phalanx/internal/exitcode"
)

func TestCertificatePairs(t *testing.T) {
	for args, want := range map[string]string{
		"--tls-key=k":                             "--tls-key k: has no certificate; add --tls-cert FILE",
		"--tls-cert=a --tls-cert=b --tls-key=k":   "--tls-cert, --tls-key: 2 certificates and 1 key; give each certificate its key, in the same order",
		"--tls-cert=a --tls-key=k --tls-key=l":    "--tls-cert, --tls-key: 1 certificate and 2 keys; give each certificate its key, in the same order",
		"--listen=https://:443":                   "https: no certificate; add --tls-cert FILE --tls-key FILE, --acme HOST or, to try it, --tls-self-signed",
		"--listen=https://:443 --tls-client-ca=a": "https: no certificate; add --tls-cert FILE --tls-key FILE, --acme HOST or, to try it, --tls-self-signed",
		"--listen=http://:80 --tls-self-signed":   "--tls-self-signed: no HTTPS address; add --listen https://:443",
		"--listen=http://:80 --tls-client-ca=a":   "--tls-client-ca: no HTTPS address; add --listen https://:443",
	} {
		_, err := parseMaster(strings.Fields(args), noEnv)
		if err == nil || err.Error() != want || exitcode.Code(err) != exitcode.Usage {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := parseMaster([]string{"--listen=https://:443", "--listen=http://:80", "--tls-cert=a"}, noEnv); err != nil {
		t.Error(err)
	}
	o := Options{TLSCert: []File{"a", "b"}, TLSKey: []File{"k", "l"}}
	if err := o.checkCertificates(); err != nil || o.KeyFile(1) != "l" || !o.Certified() {
		t.Errorf("%v, %s", err, o.KeyFile(1))
	}
	o.TLSKey = nil
	if err := o.checkCertificates(); err != nil || o.KeyFile(1) != "b" {
		t.Errorf("%v, %s", err, o.KeyFile(1))
	}
	if !(Options{TLSSelfSigned: true}).Certified() || (Options{TLSClientCA: "ca"}).Certified() {
		t.Error("certified")
	}
}

// A key below the document root is refused, in whatever form its path is given.
func TestCheckKeys(t *testing.T) {
	dir := t.TempDir()
	base, link := filepath.Join(dir, "site"), filepath.Join(dir, "link")
	touch(t, base+"/key.pem", dir+"/site-keys/key.pem", dir+"/key.pem")
	for to, from := range map[string]string{base: link, filepath.Join(base, "key.pem"): filepath.Join(dir, "inside.pem"), filepath.Join(dir, "key.pem"): filepath.Join(base, "outside.pem")} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for key, refused := range map[string]bool{
		"site/key.pem": true, "link/key.pem": true, "inside.pem": true, filepath.Join(base, "key.pem"): true, "key.pem": false,
		"site-keys/key.pem": false, "site/outside.pem": false, "absent": false, "site/absent": true,
	} {
		for _, root := range []string{base, link} {
			o := Options{Base: Base(root), TLSCert: []File{"x"}, TLSKey: []File{File(key)}}
			if err := o.CheckKeys(); (err != nil) != refused || err != nil && exitcode.Code(err) != exitcode.Config {
				t.Errorf("%s in %s: %v", key, root, err)
			}
			o.Site, o.StrictHost, o.Base = []Site{{[]string{"a.org"}, Base(root)}}, true, Base(dir)
			if err := o.CheckKeys(); (err != nil) != refused {
				t.Errorf("%s in %s, as a site: %v", key, root, err)
			}
		}
	}
	for state, refused := range map[string]bool{
		"site": true, "site/state": true, "link/new/state": true, filepath.Join(base, "new"): true, ".": false, "site-keys": false, "new/state": false, "": false,
	} {
		o := Options{Base: Base(base), State: Dir(state)}
		if err := o.CheckKeys(); (err != nil) != refused || err != nil && exitcode.Code(err) != exitcode.Config {
			t.Errorf("state %q: %v", state, err)
		}
	}
	if err := (Options{Base: "/", TLSCert: []File{"key.pem"}}).CheckKeys(); err == nil {
		t.Error("a key is accepted although everything is served")
	}
}

// Other private files are refused likewise. Devices are not.
func TestCheckConfidential(t *testing.T) {
	base := t.TempDir()
	for name, o := range map[string]Options{
		"--admin-token-file": {AdminTokenFile: File(base + "/x")}, "--acme-eab": {ACMEBinding: File(base + "/x")}, "--access-log": {AccessLog: AccessLog(base + "/logs/x")},
	} {
		o.Base = Base(base)
		if err := o.CheckKeys(); exitcode.Code(err) != exitcode.Config || !strings.HasPrefix(err.Error(), name+" "+base) {
			t.Errorf("%s in the document root: %v", name, err)
		}
		if o.Base = Base(t.TempDir()); o.CheckKeys() != nil {
			t.Errorf("%s elsewhere: %v", name, o.CheckKeys())
		}
	}
	t.Chdir(base) // where "-" would be a file
	for _, o := range []Options{{Base: ".", AccessLog: Stdout}, {Base: "/", AccessLog: "/dev/null"}, {Base: "."}} {
		if err := o.CheckKeys(); err != nil {
			t.Errorf("%q: %v", o.AccessLog, err)
		}
	}
}

// The shared files count, not the directory that would be served otherwise.
func TestCheckSharedKeys(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/keys/key.pem", dir+"/keys/cert.pem", dir+"/other", dir+"/state/acme/ca/account.key")
	if err := os.Symlink("keys/key.pem", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for shared, refused := range map[string]bool{
		"keys/key.pem": true, "keys": true, "link": true, "keys/cert.pem": false, "other": false,
		"state": true, "state/acme/ca": true, "state/acme/ca/account.key": true,
	} {
		o := Options{Base: Base(dir), TLSKey: []File{File(filepath.Join(dir, "keys/key.pem"))}, TLSCert: []File{"x"}, State: Dir(filepath.Join(dir, "state"))}
		o.Shared.Paths = []string{filepath.Join(dir, "other"), filepath.Join(dir, shared)}
		if err := o.CheckKeys(); (err != nil) != refused || err != nil && exitcode.Code(err) != exitcode.Config {
			t.Errorf("share %s: %v", shared, err)
		}
	}
}
