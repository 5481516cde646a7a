package keyring

import (
	"fmt"
	"slices"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

const day = 24 * time.Hour

// warnBefore has the times before the expiry of a certificate at which warnings are due.
var warnBefore = [...]time.Duration{21 * day, 7 * day, 1 * day, 0}

// warnings returns the number of warnings that are due for a certificate. None is due before
// the last third of its lifetime, when short-lived certificates are renewed.
func warnings(c *certificate.Info, now time.Time) (n int) {
	left, last := c.NotAfter.Sub(now), c.NotAfter.Sub(c.NotBefore)/3
	for i, before := range warnBefore {
		if left <= before && before <= last {
			n = i + 1
		}
	}
	return n
}

// warnExpiry warns of each certificate that is about to expire or has expired, once for each
// time in warnBefore, and again if the clock was set back in between.
func (k *Keyring) warnExpiry() {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	warned := make(map[string]int, len(k.list))
	for i := range k.list {
		c := &k.list[i]
		key := c.Fingerprint
		due := warnings(c, now)
		if warned[key] = max(due, warned[key]); due > k.warned[key] {
			k.Alert(expiryText(c, now))
		}
	}
	k.warned = warned
}

// Certificates describes the certificates in use for a snapshot of the pool.
func (k *Keyring) Certificates() []status.Certificate {
	now := k.Now()
	list := k.List()
	slices.SortStableFunc(list, func(a, b certificate.Info) int { return a.NotAfter.Compare(b.NotAfter) })
	var all []status.Certificate
	for _, c := range list[:min(len(list), status.MaxCertificates)] {
		all = append(all, status.Certificate{
			Names: c.Names, Source: c.Source, Issuer: c.Issuer, Key: c.Algorithm, Fingerprint: c.Fingerprint,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, Expiring: warnings(&c, now) > 0,
		})
	}
	return all
}

func expiryText(c *certificate.Info, now time.Time) string {
	const cure = "renew it"
	at, left := c.NotAfter.UTC().Format(time.RFC3339), c.NotAfter.Sub(now)
	if left <= 0 {
		return fmt.Sprintf("certificate %q for %s expired on %s: clients refuse it; %s", c.Source, c.Names[0], at, cure)
	}
	in := human.Plural(int(left.Round(day)/day), "day", "days")
	if left < 2*day {
		in = human.Plural(int(left.Round(time.Hour)/time.Hour), "hour", "hours")
	}
	return fmt.Sprintf("certificate %q for %s expires in %s, on %s; %s", c.Source, c.Names[0], in, at, cure)
}
