package acme

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// Bounds of what one attempt may take.
const (
	callTime  = 30 * time.Second // a request and its response
	pollTime  = 2 * time.Minute  // a validation, or making a certificate
	orderTime = 6 * time.Minute  // all of it
)

// Delays say how long to wait after failures. Each doubles with every failure in a row up
// to its limit, and varies by a quarter, so that many servers do not ask at once.
type Delays struct {
	Refused, MostRefused         time.Duration // the authority said no
	Limited, MostLimited         time.Duration // the authority is asked too often
	Unreachable, MostUnreachable time.Duration // there was no answer
	Restart                      time.Duration // at least, between attempts across restarts and reloads
	Chance                       func() float64
}

// UsualDelays suit Let's Encrypt, which allows five failed validations of a host an hour;
// an attempt may make two.
func UsualDelays() *Delays {
	return &Delays{
		Refused: 20 * time.Minute, MostRefused: 12 * time.Hour,
		Limited: time.Hour, MostLimited: 24 * time.Hour,
		Unreachable: time.Second, MostUnreachable: time.Hour,
		Restart: time.Minute,
		Chance:  rand.Float64,
	}
}

// mostRetryAfter bounds for how long an authority is believed.
const mostRetryAfter = 7 * 24 * time.Hour

// after is the delay of the next attempt, when so many had failed before this one. The
// time that the authority has named counts where it is longer.
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
	return max(delay, min(r.retryAfter, mostRetryAfter))
}

// attempt is what a restart has to know of the last one.
type attempt struct {
	Asked     time.Time `json:"asked"`              // when it was made; zero: never
	NotBefore time.Time `json:"notBefore,omitzero"` // the authority wants none before
}

// again is the earliest time for another attempt after a restart or a reload, with which
// an operator asks for one; zero: at once.
func (d *Delays) again(last attempt) time.Time {
	if last.Asked.IsZero() {
		return time.Time{}
	}
	at := last.Asked.Add(d.Restart)
	if last.NotBefore.After(at) {
		return last.NotBefore
	}
	return at
}

// window is the time in which an authority wants a certificate to be renewed (ARI,
// RFC 9773); zero: it has not said.
type window struct{ start, end time.Time }

// Bounds of the time after which the authority is asked for its window again.
const (
	leastAsk = time.Minute
	usualAsk = 6 * time.Hour
	mostAsk  = 24 * time.Hour
)

// renewal is when a certificate is to be renewed: in the window of the authority, or else
// when a third of its lifetime is left, and up to a thirtieth of it earlier. The moment
// depends on the certificate, not on chance: a restart does not move it.
func renewal(c *held, w window) time.Time {
	lifetime := c.leaf.NotAfter.Sub(c.leaf.NotBefore)
	spread := fraction(c)
	if w.end.IsZero() || !w.end.After(w.start) {
		return c.leaf.NotAfter.Add(-lifetime/3 - time.Duration(spread*float64(lifetime/30)))
	}
	at := w.start.Add(time.Duration(spread * float64(w.end.Sub(w.start))))
	// An authority may want a certificate replaced at once, as when it has to revoke it,
	// but not each one: a new one is kept for a while. None is used to its last day.
	if soonest := c.got.Add(min(time.Hour, lifetime/10)); at.Before(soonest) {
		at = soonest
	}
	if latest := c.leaf.NotAfter.Add(-lifetime / 6); at.After(latest) {
		at = latest
	}
	return at
}

// fraction is a number from 0 to 1 that belongs to a certificate.
func fraction(c *held) float64 {
	sum := sha256.Sum256(c.leaf.Raw)
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// when says how long something takes.
func when(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("in %d s", max(1, int(d.Round(time.Second)/time.Second)))
	case d < 2*time.Hour:
		return fmt.Sprintf("in %d min", int(d.Round(time.Minute)/time.Minute))
	}
	return fmt.Sprintf("in %d h", int(d.Round(time.Hour)/time.Hour))
}
