package acme

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"phalanx/internal/certificate"
)

var calendar = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// lasting returns a certificate with a lifetime that was obtained an hour after its beginning or,
// if it is short, after a tenth of its lifetime. Different n give different certificates.
func lasting(lifetime time.Duration, n byte) *held {
	return &held{leaf: &x509.Certificate{Raw: []byte{n}, NotBefore: calendar, NotAfter: calendar.Add(lifetime)}, got: calendar.Add(min(time.Hour, lifetime/10))}
}

// A certificate is renewed when a third of its lifetime, or a little more, is left.
func TestRenewal(t *testing.T) {
	const day = 24 * time.Hour
	for _, lifetime := range []time.Duration{90 * day, 6 * day, 24 * time.Hour, 10 * time.Second} {
		different := map[time.Time]bool{}
		for n := range byte(100) {
			at := renewal(lasting(lifetime, n), window{})
			left := lasting(lifetime, n).leaf.NotAfter.Sub(at)
			if left < lifetime/3 || left > lifetime/3+lifetime/30 {
				t.Fatalf("renewed when %[2]v of %[1]v are left", lifetime, left)
			}
			if again := renewal(lasting(lifetime, n), window{}); !again.Equal(at) {
				t.Fatal("a restart changes the time")
			}
			different[at] = true
		}
		if len(different) < 90 {
			t.Errorf("100 certificates are renewed at %d different times", len(different))
		}
	}
}

// The renewal window that the authority suggests is used if it is reasonable.
func TestWindow(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct{ start, end, least, most time.Duration }{
		"usual":              {59 * day, 61 * day, 59 * day, 61 * day},
		"early":              {10 * day, 11 * day, 10 * day, 11 * day},
		"in the past":        {-2 * day, -day, 2 * time.Hour, 2 * time.Hour}, // an hour after it was obtained
		"late":               {89 * day, 95 * day, 75 * day, 75 * day},
		"the wrong way":      {50 * day, 40 * day, 57 * day, 60 * day},
		"only just a window": {50 * day, 50*day + 1, 50 * day, 50*day + 1},
	} {
		for n := range byte(50) {
			at := renewal(lasting(90*day, n), window{calendar.Add(c.start), calendar.Add(c.end)}).Sub(calendar)
			if at < c.least || at > c.most {
				t.Fatalf("%s: after %v", name, at)
			}
		}
	}
}

// A certificate of which little is left when it comes, by a clock that is wrong or because the
// authority dates it back, is not ordered again at once, with or without a window.
func TestRenewalOfNew(t *testing.T) {
	for _, w := range []window{{}, {calendar.Add(time.Hour), calendar.Add(2 * time.Hour)}} {
		for _, age := range []time.Duration{20 * time.Hour, 1000 * time.Hour} {
			c := lasting(24*time.Hour, 0)
			c.got = calendar.Add(age)
			if in := renewal(c, w).Sub(c.got); in != time.Hour {
				t.Errorf("obtained %v after its beginning: renewed after %v", age, in)
			}
		}
	}
}

// A certificate that was obtained while the clock was ahead is renewed before it expires.
func TestObtainedAhead(t *testing.T) {
	const day = 24 * time.Hour
	c := &Client{Config: Config{Now: func() time.Time { return calendar.Add(2 * time.Hour) }}}
	cert := lasting(6*day, 0)
	want := c.renewAt(&host{cert: cert})
	cert.got = calendar.Add(10 * day)
	if got := c.renewAt(&host{cert: cert}); !got.Equal(want) || !got.Before(cert.notAfter()) {
		t.Errorf("renewed at %v, want %v", got, want)
	}
	source, err := certificate.SelfSigned([]string{"one.test"}, calendar, day)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	// With a reading of the monotonic clock the time would not be in the future once the clock is set back.
	if cert, err = newHeld("one.test", source, now); err != nil || cert.got != now.Round(0) {
		t.Errorf("obtained at %v, %v", cert, err)
	}
}

func TestDelays(t *testing.T) {
	d := UsualDelays()
	for _, c := range []struct {
		r        refusal
		failures int
		chance   float64
		want     time.Duration
	}{
		{refusal{class: unreachable}, 0, 0.5, time.Second},
		{refusal{class: unreachable}, 3, 0.5, 8 * time.Second},
		{refusal{class: broken}, 40, 0.5, time.Hour},
		{refusal{class: unreachable}, 3, 0, 6 * time.Second},
		{refusal{class: unreachable}, 3, 1, 10 * time.Second},
		{refusal{class: unreachable, retryAfter: time.Minute}, 0, 0.5, time.Minute},
		{refusal{class: refused}, 0, 0.5, 20 * time.Minute},
		{refusal{class: refused}, 1, 0.5, 40 * time.Minute},
		{refusal{class: refused}, 31, 0.5, 12 * time.Hour},
		{refusal{class: refused}, 1 << 40, 0.5, 12 * time.Hour},
		{refusal{class: limited}, 0, 0.5, time.Hour},
		{refusal{class: limited, retryAfter: 5 * time.Minute}, 9, 0.5, 5 * time.Minute},
		{refusal{class: limited, retryAfter: 1000 * time.Hour}, 0, 0.5, 168 * time.Hour},
	} {
		d.Chance = func() float64 { return c.chance }
		if got := d.after(&c.r, c.failures); got != c.want {
			t.Errorf("%+v after %d failures: %v, want %v", c.r, c.failures, got, c.want)
		}
	}
}

// Let's Encrypt allows five failed validations of a host an hour, and an attempt may make
// two.
func TestDelaysRespectLimits(t *testing.T) {
	d := UsualDelays()
	d.Chance = func() float64 { return 0 }
	at, attempts := time.Duration(0), 0
	for failures := 0; at < time.Hour; failures++ {
		attempts++
		at += d.after(&refusal{class: refused}, failures)
	}
	if 2*attempts > 6 { // one is allowed again after twelve minutes
		t.Errorf("%d attempts in the first hour", attempts)
	}
}

func TestAgain(t *testing.T) {
	d := UsualDelays()
	now := calendar.Add(time.Second)
	const year = 365 * 24 * time.Hour // the clock was ahead
	for _, c := range []struct {
		last attempt
		want time.Time
	}{
		{attempt{}, time.Time{}},
		{attempt{Asked: calendar}, calendar.Add(time.Minute)},
		{attempt{Asked: calendar, NotBefore: calendar.Add(time.Hour)}, calendar.Add(time.Hour)},
		{attempt{Asked: calendar, NotBefore: calendar.Add(-time.Hour)}, calendar.Add(time.Minute)},
		{attempt{Asked: calendar.Add(year)}, now.Add(time.Minute)},
		{attempt{Asked: calendar.Add(year), NotBefore: calendar.Add(year + time.Hour)}, now.Add(time.Hour)},
	} {
		if got := d.again(c.last, now); !got.Equal(c.want) {
			t.Errorf("%+v: %v", c.last, got)
		}
	}
}

func TestWhen(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "in 1 s", 1400 * time.Millisecond: "in 1 s", 59900 * time.Millisecond: "in 1 min 0 s", 12 * time.Hour: "in 12 h 0 min",
	} {
		if got := when(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A reload retries a failed host soon, and does not reset the number of failures that operators
// see.
func TestFailuresAcrossReloads(t *testing.T) {
	now := calendar
	cfg, _, _ := stored(t, "one.test")
	cfg.Delays, cfg.Now = UsualDelays(), func() time.Time { return now }
	cfg.Delays.Chance = func() float64 { return 0.5 }
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var waits []time.Duration
	for n := range 4 {
		if n > 1 {
			c.Use(cfg.Hosts)
			c.change()
		}
		h, at := c.next()
		now = at
		c.note(h, attempt{Asked: now})
		c.failed(h, &refusal{class: refused, what: "http-01 challenge"})
		waits = append(waits, c.Status().Hosts[0].Next.Sub(now))
		if got := c.Status().Hosts[0].Failures; got != n+1 {
			t.Errorf("%d failures after %d", got, n+1)
		}
	}
	const first = 20 * time.Minute
	if want := []time.Duration{first, 2 * first, first, first}; !slices.Equal(waits, want) {
		t.Errorf("delays %v, want %v", waits, want)
	}
}
