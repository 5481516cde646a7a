package options

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
)

// Certified reports whether the options provide a certificate for HTTPS.
func (o Options) Certified() bool { return len(o.TLSCert) > 0 || o.TLSSelfSigned || len(o.ACME) > 0 }

// checkCertificates refuses keys and certificates that do not pair up, and calls [Options.CheckHTTPS].
func (o Options) checkCertificates() error {
	certificates, keys := len(o.TLSCert), len(o.TLSKey)
	switch {
	case keys > 0 && certificates == 0:
		return usage("--tls-key " + human.Quoted(string(o.TLSKey[0])) + ": has no certificate; add --tls-cert FILE")
	case keys > 0 && keys != certificates:
		return usage("--tls-cert, --tls-key: " + human.Plural(certificates, "certificate", "certificates") + " and " +
			human.Plural(keys, "key", "keys") + "; give each certificate its key, in the same order")
	case len(o.ACME) > 0 && o.State == "":
		return usage("--acme " + string(o.ACME[0]) + ": needs a place to keep keys and certificates; add --state DIR")
	case len(o.Listen) > 0:
		return o.CheckHTTPS(slices.ContainsFunc(o.Listen, func(l Listen) bool { return l.Secure }))
	}
	return nil // systemd may pass sockets for HTTPS
}

// CheckHTTPS refuses HTTPS without a certificate, and without HTTPS it refuses certificates
// and flags that affect HTTPS only. secure: an address uses HTTPS.
func (o Options) CheckHTTPS(secure bool) error {
	certified := o.Certified()
	switch {
	case secure && !certified:
		return usage("https: no certificate; add --tls-cert FILE --tls-key FILE, --acme HOST or, to try it, --tls-self-signed")
	case !secure && (certified || o.TLSClientCA != ""):
		return usage(o.certificateFlag() + ": no HTTPS address; add --listen https://:443")
	case !secure && o.HSTS > 0 && len(o.TrustedProxies) == 0:
		return usage("--hsts: browsers obey it over HTTPS only, and no address uses HTTPS; add --listen https://:443, or name the proxy that terminates TLS with --trusted-proxies")
	case !secure && o.Plain != PlainRedirect:
		return usage("--plain " + string(o.Plain) + ": has no effect without an HTTPS address; add --listen https://:443, or leave it out")
	}
	return nil
}

// certificateFlag returns the first flag given that needs an HTTPS address.
func (o Options) certificateFlag() string {
	switch {
	case len(o.TLSCert) > 0:
		return "--tls-cert"
	case o.TLSSelfSigned:
		return "--tls-self-signed"
	case len(o.ACME) > 0:
		return "--acme"
	default:
		return "--tls-client-ca"
	}
}

// KeyFile returns the file with the private key of the i-th certificate.
func (o Options) KeyFile(i int) File {
	if len(o.TLSKey) == 0 {
		return o.TLSCert[i]
	}
	return o.TLSKey[i]
}

// CheckKeys returns an [*exitcode.Error] if clients could download a private key, another secret,
// the access log or the cache, because it is in a document root or shared. Symbolic links are
// resolved.
func (o Options) CheckKeys() error {
	where := "lies in the document root, where clients could download "
	if len(o.Shared.Paths) > 0 {
		where = "is shared, so that clients could download "
	}
	for _, path := range o.served() {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue // a missing file is reported when it is opened
		}
		for _, f := range o.confidential() {
			if file := resolved(f.path); !irregular(f.path) && (real == file || within(real, file)) {
				return exitcode.New(exitcode.Config, f.name+" "+human.Quoted(f.path)+": "+where+"it; move it elsewhere", nil)
			}
		}
		dir := string(o.State)
		if dir != "" && (within(real, resolved(dir)+"/") || within(resolved(dir)+"/acme", real+"/")) { // keys are in there
			return exitcode.New(exitcode.Config, "--state "+human.Quoted(dir)+": "+where+"private keys; choose another directory", nil)
		}
		if o.Caches() && within(real, resolved(string(o.CacheDir))+"/") {
			return exitcode.New(exitcode.Config, "--cache-dir "+human.Quoted(string(o.CacheDir))+": lies in a document root; choose a directory outside", nil)
		}
	}
	return nil
}

// namedFile is a file and what it is called in an error.
type namedFile struct{ name, path string }

// confidential returns the files that no client may download.
func (o Options) confidential() (all []namedFile) {
	for i := range o.TLSCert {
		all = append(all, namedFile{"private key", string(o.KeyFile(i))})
	}
	for _, file := range o.PasswordFiles() {
		all = append(all, namedFile{"--auth: password file", file})
	}
	all = append(all, namedFile{"--admin-token-file", string(o.AdminTokenFile)}, namedFile{"--acme-eab", string(o.ACMEBinding)})
	if o.AccessLog != Stdout {
		all = append(all, namedFile{"--access-log", string(o.AccessLog)})
	}
	return slices.DeleteFunc(all, func(f namedFile) bool { return f.path == "" })
}

// served returns the document roots of all sites, or the shared paths.
func (o Options) served() (all []string) {
	if len(o.Shared.Paths) > 0 {
		return o.Shared.Paths
	}
	if o.Default() {
		all = append(all, string(o.Base))
	}
	for _, s := range o.Site {
		all = append(all, string(s.Dir))
	}
	return all
}

// irregular reports whether the path is not a regular file. A directory is reported when the
// key is read, and devices are not served.
func irregular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// resolved returns the absolute path of a file, with symbolic links resolved as far as the
// path exists.
func resolved(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	for dir, rest := path, ""; ; dir, rest = filepath.Dir(dir), filepath.Join(filepath.Base(dir), rest) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if dir == "/" {
			return path
		}
	}
}

// within reports whether file is below dir. Both are absolute paths without symbolic links.
func within(dir, file string) bool {
	return strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/")
}
