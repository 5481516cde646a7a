package acme

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"phalanx/internal/human"
)

// Time limits of an attempt.
const (
	callTime  = 30 * time.Second // a request and its response
	pollTime  = 2 * time.Minute  // a validation, or issuing a certificate
	orderTime = 6 * time.Minute  // the entire attempt
)

// Delays are the delays after failures. Each doubles with every consecutive failure up to its
// limit, and is randomised by a quarter, so that many servers do not retry at once.
type Delays struct {
	Refused, MostRefused         time.Duration // the authority said no
	Limited, MostLimited         time.Duration // rate limited
	Unreachable, MostUnreachable time.Duration // no response
	Restart                      time.Duration // minimum between attempts across restarts and reloads
	Chance                       func() float64
}

// UsualDelays returns delays for Let's Encrypt, which allows five failed validations of a host
// per hour; an attempt may fail two.
func UsualDelays() *Delays {
	return &Delays{
		Refused: 20 * time.Minute, MostRefused: 12 * time.Hour,
		Limited: time.Hour, MostLimited: 24 * time.Hour,
		Unreachable: time.Second, MostUnreachable: time.Hour,
		Restart: time.Minute,
		Chance:  rand.Float64,
	}
}

// maxRetryAfter limits Retry-After.
const maxRetryAfter = 7 * 24 * time.Hour

// after returns the delay before the next attempt. failures is the number of consecutive
// failures before this one. A longer Retry-After takes precedence.
func (d *Delays) after(r *refusal, failures int) time.Duration {
	first, most := d.Refused, d.MostRefused
	switch r.class {
	case limited:
		first, most = d.Limited, d.MostLimited
	case unreachable, broken:
		first, most = d.Unreachable, d.MostUnreachable
	}
	delay := most
	if failures < 32 && first<<failures>>failures == first {
		delay = min(first<<failures, most)
	}
	delay += time.Duration((d.Chance() - 0.5) / 2 * float64(delay))
	if r.retryAfter <= 0 {
		return delay
	}
	if r.class == limited {
		delay = 0 // the authority knows better
	}
	return max(delay, min(r.retryAfter, maxRetryAfter))
}

// attempt is the last attempt, stored for restarts.
type attempt struct {
	Asked     time.Time `json:"asked"`              // when it was made; zero: never
	NotBefore time.Time `json:"notBefore,omitzero"` // the authority wants none before
}

// again returns the earliest time of the next attempt after a restart or a reload; zero: at
// once. A last attempt in the future means that the clock was ahead then; it counts as just made.
func (d *Delays) again(last attempt, now time.Time) time.Time {
	if last.Asked.IsZero() {
		return time.Time{}
	}
	if ahead := last.Asked.Sub(now); ahead > 0 {
		last.Asked, last.NotBefore = now, last.NotBefore.Add(-ahead)
	}
	at := last.Asked.Add(d.Restart)
	if last.NotBefore.After(at) {
		return last.NotBefore
	}
	return at
}

// window is the renewal window that the authority suggests (ARI, RFC 9773); zero: unknown.
type window struct{ start, end time.Time }

// The interval between requests for the renewal window.
const (
	minAsk     = time.Minute
	defaultAsk = 6 * time.Hour
	maxAsk     = 24 * time.Hour
)

// renewal returns when to renew a certificate: in the authority's window, or else when a third
// of its lifetime is left, up to a thirtieth earlier. The exact time is derived from the
// certificate, so that restarts do not change it.
func renewal(c *held, w window) time.Time {
	lifetime := c.leaf.NotAfter.Sub(c.leaf.NotBefore)
	spread := fraction(c)
	at := c.leaf.NotAfter.Add(-lifetime/3 - time.Duration(spread*float64(lifetime/30)))
	if w.end.After(w.start) {
		at = w.start.Add(time.Duration(spread * float64(w.end.Sub(w.start))))
		if latest := c.leaf.NotAfter.Add(-lifetime / 6); at.After(latest) { // a window that is too late
			at = latest
		}
	}
	// A window in the past means to renew at once, for example because of a revocation. A new
	// certificate is still kept for a while, in case every window is in the past, or the clock
	// is so far ahead that little is left of every new certificate.
	if soonest := c.got.Add(min(time.Hour, lifetime/10)); at.Before(soonest) {
		at = soonest
	}
	return at
}

// fraction returns a number from 0 to 1 derived from the certificate.
func fraction(c *held) float64 {
	sum := sha256.Sum256(c.leaf.Raw)
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// when formats a delay: "in 5 min 0 s".
func when(d time.Duration) string { return "in " + human.Age(max(1, d.Round(time.Second).Seconds())) }
