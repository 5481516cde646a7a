package keyring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/observe/status"
)

// There are four warnings before a certificate that is not renewed expires.
func TestExpiry(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	end := start.Add(90 * day)
	for r.now.Before(end.Add(30 * day)) {
		r.poll()
		r.now = r.now.Add(time.Hour)
	}
	text := func(in string) string {
		return fmt.Sprintf("certificate %q for a.test expires in %s, on 2027-02-24T00:00:00Z; renew it", p.Certificate, in)
	}
	r.expectAlerts(text("21 days"), text("7 days"), text("24 hours"),
		fmt.Sprintf("certificate %q for a.test expired on 2027-02-24T00:00:00Z: clients refuse it; renew it", p.Certificate))
}

// There is no warning about a short-lived certificate before it should have been renewed.
func TestExpiryOfShort(t *testing.T) {
	for lifetime, want := range map[time.Duration]int{6 * day: 2, day: 1, 47 * day: 3, 397 * day: 4} {
		c := issue(t, "a.test", start, lifetime)
		r := newRing(t, Settings{Pairs: []Pair{files(t, c)}}, nil)
		if len(r.alerts) > 0 {
			t.Errorf("%v: %q at the beginning", lifetime, r.alerts)
		}
		for end := start.Add(lifetime + day); r.now.Before(end); r.now = r.now.Add(time.Hour) {
			r.poll()
		}
		if len(r.alerts) != want {
			t.Errorf("%v: %q", lifetime, r.alerts)
		}
	}
}

// A clock that was ahead for a while does not use the warnings up.
func TestExpiryAfterClockAhead(t *testing.T) {
	p := files(t, issue(t, "a.test", start, 90*day))
	r := newRing(t, Settings{Pairs: []Pair{p}}, nil)
	r.now = start.Add(100 * day)
	r.poll()
	r.expectAlerts(fmt.Sprintf("certificate %q for a.test expired on 2027-02-24T00:00:00Z: clients refuse it; renew it", p.Certificate))
	r.now = start
	r.poll()
	r.expectAlerts()
	r.now = start.Add(70 * day)
	r.poll()
	r.poll()
	r.expectAlerts(fmt.Sprintf("certificate %q for a.test expires in 20 days, on 2027-02-24T00:00:00Z; renew it", p.Certificate))
}

// A self-signed certificate is replaced before there is a warning, for the same names.
func TestSelfSignedRenewed(t *testing.T) {
	r := newRing(t, Settings{SelfSigned: true}, nil)
	first, names := r.chain(0), r.List()[0].Names
	r.now = r.now.Add(selfSignedTime - renewBefore - day)
	r.poll()
	r.hasChanged(true) // ticket keys
	if r.chain(0) != first {
		t.Error("renewed early")
	}
	r.now = r.now.Add(2 * day)
	r.poll()
	r.hasChanged(true)
	c := r.List()[0]
	if r.chain(0) == first || !slices.Equal(c.Names, names) || c.NotAfter.Sub(r.now) < selfSignedTime-day {
		t.Errorf("%+v", c)
	}
	r.expectAlerts(fmt.Sprintf("self-signed certificate renewed, SHA-256 fingerprint %v; browsers warn again", c.Fingerprint))
	if r.poll(); r.again(Settings{SelfSigned: true}, r.State()).List()[0].Fingerprint != c.Fingerprint {
		t.Error("an upgrade makes another one")
	}
}

// A snapshot lists the first to expire first, and says which need attention.
func TestCertificates(t *testing.T) {
	long, short := files(t, issue(t, "long.test", start, 90*day)), files(t, issue(t, "short.test", start.Add(-80*day), 90*day))
	r := newRing(t, Settings{Pairs: []Pair{long, short}}, nil)
	got := r.Certificates()
	if len(got) != 2 || got[0].Name() != "short.test" || !got[0].Expiring || got[1].Name() != "long.test" || got[1].Expiring {
		t.Errorf("%+v", got)
	}
	if c := got[0]; c.Source != short.Certificate || c.Key != "ECDSA" || c.Issuer != "CN=short.test" || len(c.Fingerprint) != 95 || c.Left(start) != (10*day).Seconds() {
		t.Errorf("%+v", c)
	}
	var many []certificate.Source
	for range status.MaxCertificates + 1 {
		many = append(many, issue(t, "many.test", start, 90*day))
	}
	if err := r.Publish(many, nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Certificates()); n != status.MaxCertificates {
		t.Errorf("%d certificates", n)
	}
}

// A server starts with a certificate that clients refuse, and logs an alert.
func TestStartNotValid(t *testing.T) {
	old, young := files(t, issue(t, "old.test", start.Add(-20*day), 10*day)), files(t, issue(t, "young.test", start.Add(2*day), 10*day))
	r := newRing(t, Settings{Pairs: []Pair{old, young}}, nil)
	r.expectAlerts(
		fmt.Sprintf("certificate %q for old.test expired on 2026-11-16T00:00:00Z: clients refuse it; renew it", old.Certificate),
		fmt.Sprintf("certificate %q for young.test is not valid before 2026-11-27T23:00:00Z; check the clock", young.Certificate),
	)
	if err := r.load(Settings{Pairs: []Pair{old}}).Check(start); err == nil {
		t.Error("--check does not report it")
	}
}

// A self-signed certificate is also valid for the names of the sites. It stays the same
// through reloads and upgrades as long as it has all of them.
func TestSelfSignedNames(t *testing.T) {
	settings := Settings{SelfSigned: true, Names: []string{"a.example", "*.b.example", "localhost"}}
	r := newRing(t, settings, nil)
	first := *r.SelfSigned()
	for _, name := range settings.Names {
		if n := strings.Count(" "+strings.Join(first.Names, " ")+" ", " "+name+" "); n != 1 {
			t.Errorf("%s occurs %d times in %q, want once", name, n, first.Names)
		}
	}
	if r.again(settings, r.State()).SelfSigned().Fingerprint != first.Fingerprint {
		t.Error("an upgrade has replaced the certificate")
	}
	fewer := Settings{SelfSigned: true, Names: settings.Names[:1]}
	if err := r.Use(r.load(fewer)); err != nil || r.SelfSigned().Fingerprint != first.Fingerprint {
		t.Errorf("a reload has replaced the certificate: %v", err)
	}
	more := Settings{SelfSigned: true, Names: append(settings.Names, "c.example")}
	if upgraded := *r.again(more, r.State()).SelfSigned(); !slices.Contains(upgraded.Names, "c.example") {
		t.Errorf("after an upgrade the certificate is for %q", upgraded.Names)
	}
	if err := r.Use(r.load(more)); err != nil || !slices.Contains(r.SelfSigned().Names, "c.example") {
		t.Errorf("after a reload the certificate is for %q: %v", r.SelfSigned().Names, err)
	}
	r.expectAlerts(fmt.Sprintf("self-signed certificate generated for more names, SHA-256 fingerprint %v; browsers warn again", r.SelfSigned().Fingerprint))
}
