package main

import (
	"slices"
	"strings"
	"time"

	"phalanx/internal/exitcode"
	"phalanx/internal/human"
	"phalanx/internal/keyring"
	"phalanx/internal/listen"
	"phalanx/internal/observe/snapshot"
	"phalanx/internal/options"
	"phalanx/internal/supervise"
	"phalanx/internal/upgrade"
)

// certificates is the keyring of a server with HTTPS or passwords; nil: it has neither.
type certificates struct {
	*keyring.Keyring
	authority *authority
}

// newCertificates reads certificates and passwords, and restores the keyring's state after an
// upgrade.
func newCertificates(o options.Options, addresses []listen.Address, before *upgrade.Carried, out *standardError) (*certificates, error) {
	secure := listen.AnySecure(addresses)
	if err := o.CheckHTTPS(secure); err != nil || !secure && len(o.Auth) == 0 {
		return nil, err
	}
	var state *keyring.State
	if before != nil {
		state = before.Keys
	}
	loaded, err := loadCertificates(o)
	if err != nil && state != nil {
		loaded, err = state.Loaded(sources(o)) // workers are serving: do not fail
	}
	if err != nil {
		return nil, err
	}
	k, err := keyring.New(keyring.Config{Alert: out.alert, Log: out.log}, loaded, state)
	if err != nil {
		return nil, err
	}
	if at := o.InClear(addresses); at != "" && before == nil {
		out.alert("passwords for --auth cross the network unencrypted to " + at + "; use HTTPS (--tls-cert, --acme), or a proxy and --bind 127.0.0.1")
	}
	a, err := newAuthority(o, addresses, k, before != nil, out)
	if err != nil {
		return nil, err
	}
	k.Start()
	if text := uncertified(o, loaded); text != "" && before == nil {
		out.alert(text)
	}
	return &certificates{k, a}, nil
}

// uncertified returns a warning about hosts of --site without a certificate; "" if all have
// one, or there is no HTTPS.
func uncertified(o options.Options, loaded *keyring.Loaded) string {
	if !o.Certified() {
		return "" // only passwords were loaded
	}
	named := append(loaded.Hosts(), o.Hosts()...)
	missing := slices.DeleteFunc(o.SiteHosts(), func(host string) bool {
		_, parent, _ := strings.Cut(host, ".")
		return slices.ContainsFunc(named, func(name string) bool {
			return strings.EqualFold(name, host) || strings.EqualFold(name, "*."+parent)
		})
	})
	if len(missing) == 0 {
		return ""
	}
	more := ""
	if n := len(missing) - 1; n > 0 {
		more = " and " + human.Plural(n, "more host of --site", "more hosts of --site")
	}
	return "no certificate for " + missing[0] + more + "; browsers refuse HTTPS there; add --tls-cert FILE or --acme HOST"
}

// sources returns the files of certificates and passwords.
func sources(o options.Options) keyring.Settings {
	s := keyring.Settings{ClientCA: string(o.TLSClientCA), SelfSigned: o.TLSSelfSigned, Passwords: o.PasswordFiles(), Names: o.SiteHosts()}
	for i, file := range o.TLSCert {
		s.Pairs = append(s.Pairs, keyring.Pair{Certificate: string(file), Key: string(o.KeyFile(i))})
	}
	return s
}

// loadCertificates reads and checks the files that the options name.
func loadCertificates(o options.Options) (*keyring.Loaded, error) {
	loaded, err := keyring.Load(sources(o), time.Now())
	return loaded, badCertificate(err)
}

func badCertificate(err error) error {
	if err == nil {
		return nil
	}
	return exitcode.New(exitcode.Config, err.Error(), err)
}

// checkCertificates checks certificates for --check. warning may be intended.
func checkCertificates(o options.Options) (warning string, err error) {
	loaded, err := loadCertificates(o)
	if err != nil || !o.Certified() {
		return "", err
	}
	return uncertified(o, loaded), badCertificate(loaded.Check(time.Now()))
}

// reread reads the files again. apply makes the keyring use them.
func (c *certificates) reread(o options.Options) (apply func(), err error) {
	loaded, err := loadCertificates(o)
	if c == nil || err != nil {
		return func() {}, err
	}
	if err := c.Check(loaded); err != nil {
		return nil, err
	}
	if err := c.Offer(loaded); err != nil {
		return nil, err
	}
	return func() {
		if err := c.Use(loaded); err != nil {
			c.Alert(err.Error() + "; the current certificates stay in use")
		}
		c.authority.use(o)
		if text := uncertified(o, loaded); text != "" {
			c.Alert(text)
		}
	}, nil
}

// settings returns err, or why the certificates that the options name cannot be used.
func (c *certificates) settings(o options.Options, _ string, err error) error {
	if err == nil {
		_, err = c.reread(o)
	}
	return err
}

// show adds the certificates to snapshots of the pool.
func (c *certificates) show(s *snapshot.Config) {
	if c != nil {
		s.Certificates, s.Refused, s.ACME = c.Certificates, c.Refused, c.authority.status
	}
}

// attach makes a pool pass the credentials to its workers.
func (c *certificates) attach(pool *supervise.Config) {
	if c != nil {
		pool.Credentials, pool.CredentialsChanged, pool.OnCredentials = c.Credentials, c.Changed(), c.Used
		c.authority.attach(pool)
	}
}

// state returns the keyring's state for an upgrade; nil: there is no keyring.
func (c *certificates) state() *keyring.State {
	if c == nil {
		return nil
	}
	return c.State()
}

// fingerprint returns the fingerprint of the self-signed certificate, "" if there is none.
func (c *certificates) fingerprint() string {
	if c == nil || c.SelfSigned() == nil {
		return ""
	}
	return c.SelfSigned().Fingerprint
}

func (c *certificates) stop() {
	if c != nil {
		c.authority.stop()
		c.Stop()
	}
}

// announce reports the fingerprint of a self-signed certificate, in the log or on a terminal,
// to compare with the one that a browser shows.
func (c *certificates) announce(o options.Options, before *upgrade.Carried, out *standardError) {
	if c == nil || before != nil {
		return
	}
	info := c.SelfSigned()
	switch {
	case info == nil:
	case o.Verbose > 0:
		out.log.Info().Str("names", strings.Join(info.Names, " ")).Str("fingerprint", info.Fingerprint).Msg("self-signed certificate")
	default:
		out.inform(o, "self-signed certificate for "+info.Names[0]+", SHA-256 fingerprint "+info.Fingerprint)
	}
}
