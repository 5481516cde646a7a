package website

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"phalanx/internal/conn"
	"phalanx/internal/options"
	"phalanx/internal/password"
	"phalanx/internal/proto"
	"phalanx/internal/site"
)

// Passwords checks the credentials for the parts of the website that --auth protects. Each
// password file is a realm.
type Passwords struct {
	*password.Checker
	names  []string // of the files, by realm
	realms []string
	files  []*password.File
}

// NewPasswords returns the checker of the password files in the options, which are to be
// loaded with [Passwords.Use]; nil if nothing is protected.
func NewPasswords(o options.Options) *Passwords {
	if len(o.Auth) == 0 {
		return nil
	}
	p := &Passwords{Checker: password.NewChecker(), names: o.PasswordFiles()}
	p.files = make([]*password.File, len(p.names))
	for _, name := range p.names {
		i := slices.IndexFunc(o.Auth, func(a options.AuthRule) bool { return a.File == name })
		p.realms = append(p.realms, quotable(o.Auth[i].Pattern))
	}
	return p
}

// quotable returns a pattern that can be a quoted string in a challenge without escapes (RFC
// 9110 §5.6.4).
func quotable(pattern string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '_'
		}
		return c
	}, pattern)
}

// Use loads the text of a password file, if the options name it. [Passwords.Ready] must be
// called after the last one.
func (p *Passwords) Use(name string, text []byte) error {
	i := slices.Index(p.names, name)
	if i < 0 {
		return nil
	}
	f, err := password.Parse(name, text)
	if err != nil {
		return err
	}
	p.files[i] = f
	return nil
}

// Ready applies the loaded files. It is an error if one is missing.
func (p *Passwords) Ready() error {
	if i := slices.Index(p.files, nil); i >= 0 {
		return fmt.Errorf("password file %q: the master has not read it", p.names[i])
	}
	p.Checker.Use(slices.Clone(p.files))
	return nil
}

// Close stops the checks under way. p may be nil.
func (p *Passwords) Close() {
	if p != nil {
		p.Checker.Close()
	}
}

// Realm implements [conn.Passwords].
func (p *Passwords) Realm(n int) string { return p.realms[n] }

// Check implements [conn.Passwords].
func (p *Passwords) Check(realm int, credentials []byte, client netip.Addr) (proto.Status, time.Duration, conn.Check) {
	outcome, again, check := p.Checker.Check(realm, credentials, client)
	if check != nil {
		return 0, 0, waiting{check}
	}
	return statusOf(outcome), again, nil
}

type waiting struct{ *password.Check }

func (w waiting) Status() proto.Status { return statusOf(w.Outcome()) }

func statusOf(o password.Outcome) proto.Status {
	switch o {
	case password.Right, password.Remembered:
		return proto.StatusOK
	case password.Wrong:
		return proto.StatusUnauthorized
	case password.Limited:
		return proto.StatusTooManyRequests
	case password.Busy:
		return proto.StatusServiceUnavailable
	}
	return 0
}

// areas returns the protected parts, for the policy of a site.
func areas(o options.Options) (all []site.Area) {
	files := o.PasswordFiles()
	for _, a := range o.Auth {
		all = append(all, site.Area{Pattern: a.Pattern, Realm: slices.Index(files, a.File)})
	}
	return all
}
