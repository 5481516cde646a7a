package acme

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// host is one name, and what is known of its certificate. The goroutine of Run alone
// changes it, under Client.mu.
type host struct {
	name     string
	cert     *held     // nil: none
	askAt    time.Time // when the authority is next asked for its renewal window
	window   window    // its last answer
	failures int       // attempts in a row
	retryAt  time.Time // the next attempt after a failure
	attempt            // the last one
	solved   string    // the kind of challenge that worked last
	problem  string    // of the last attempt, or ""
}

// held is a certificate.
type held struct {
	source certificate.Source
	leaf   *x509.Certificate
	got    time.Time // when it was obtained, as far as is known
}

func (h *held) notAfter() time.Time { return h.leaf.NotAfter }

// newHeld checks a certificate that is kept, or that the authority has sent.
func newHeld(host string, source certificate.Source, got time.Time) (*held, error) {
	if _, err := certificate.Parse([]certificate.Source{source}); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(source.Chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := leaf.VerifyHostname(host); err != nil {
		return nil, fmt.Errorf("certificate %q: it is not for %s", source.Name, host)
	}
	return &held{source: source, leaf: leaf, got: got}, nil
}

// load makes the list of hosts from their names. Hosts that were there before stay as
// they are, but for failures: those are tried again soon.
func (c *Client) load(names []string) {
	before := map[string]*host{}
	for _, h := range c.hosts { // only this goroutine changes it
		before[h.name] = h
	}
	attempts := c.kept.attempts()
	var hosts []*host
	for _, name := range names {
		h := before[name]
		if h == nil {
			h = c.restored(name, attempts[name])
		}
		hosts = append(hosts, h)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hosts = hosts
	for _, h := range hosts {
		if h.failures > 0 {
			h.failures, h.retryAt = 0, c.Delays.again(h.attempt)
		}
	}
}

// restored is a host as the state has it.
func (c *Client) restored(name string, last attempt) *host {
	h := &host{name: name, attempt: last, retryAt: c.Delays.again(last)}
	source, err := c.kept.certificate(name)
	if err == nil {
		h.cert, err = newHeld(name, source, time.Time{})
	}
	switch {
	case err == nil:
		h.cert.got = h.cert.leaf.NotBefore
	case !errors.Is(err, errNotKept):
		c.Alert(err.Error() + "; ordering another")
	}
	return h
}

// certified reports whether a host has a certificate that can be used.
func (c *Client) certified(h *host) bool { return h.cert != nil && c.Now().Before(h.cert.notAfter()) }

// progress reports when hosts begin to lack certificates, and when all have one.
func (c *Client) progress() {
	missing := slices.DeleteFunc(slices.Clone(c.hosts), c.certified)
	before := c.lacking
	c.lacking = len(missing) > 0
	switch {
	case before == c.lacking:
	case before:
		c.Inform("every host of --acme has a certificate")
	default:
		line := "obtaining a certificate for " + missing[0].name
		if n := len(missing) - 1; n > 0 {
			line = fmt.Sprintf("obtaining certificates for %s and %s", missing[0].name, human.Plural(n, "more host", "more hosts"))
		}
		line += " from " + c.authority()
		first := slices.MinFunc(missing, func(a, b *host) int { return a.retryAt.Compare(b.retryAt) })
		if wait := first.retryAt.Sub(c.Now()); wait > 0 {
			line += "; next attempt " + when(wait)
		}
		c.Inform(line)
	}
}

// next returns the host that is due first, and when; nil if there is none.
func (c *Client) next() (first *host, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		if t := c.due(h); first == nil || t.Before(at) {
			first, at = h, t
		}
	}
	return first, at
}

// due is when something has to be done for a host.
func (c *Client) due(h *host) time.Time {
	if h.cert == nil {
		return h.retryAt
	}
	renew := c.renewAt(h)
	if h.askAt.Before(renew) {
		return h.askAt
	}
	return renew
}

// renewAt is when a host's certificate is to be renewed.
func (c *Client) renewAt(h *host) time.Time {
	at := renewal(h.cert, h.window)
	if at.Before(h.retryAt) {
		return h.retryAt
	}
	return at
}

// attend does what is due for a host.
func (c *Client) attend(ctx context.Context, h *host) {
	if h.cert != nil && !h.askAt.After(c.Now()) {
		c.ask(ctx, h)
	}
	if h.cert != nil && c.renewAt(h).After(c.Now()) {
		return
	}
	c.note(h, attempt{Asked: c.Now()})
	limit, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	switch cert, err := c.obtain(limit, h); {
	case err == nil:
		c.obtained(h, cert)
	case ctx.Err() == nil: // or else Run ends, and nobody refused anything
		c.failed(h, err)
	}
}

// obtained puts a new certificate in force.
func (c *Client) obtained(h *host, cert *held) {
	renewed := h.cert != nil
	c.silence = ""
	c.mu.Lock()
	h.cert, h.failures, h.retryAt, h.problem = cert, 0, time.Time{}, ""
	h.window, h.askAt = window{}, c.Now()
	c.counts.Issued++
	c.mu.Unlock()
	if err := c.kept.saveCertificate(h.name, cert.source); err == nil {
		c.note(h, attempt{}) // the certificate itself says when the next one is due
	} else {
		c.Alert(fmt.Sprintf("certificate for %s is in use, but was not stored: %v; after a restart another one must be ordered", h.name, err))
	}
	c.Log.Info().Str("host", h.name).Bool("renewed", renewed).Time("expires", cert.notAfter()).Msg("certificate obtained")
	c.publish()
}

// failed notes an attempt that failed, and tells the user.
func (c *Client) failed(h *host, err error) {
	r := judge(err, c.calls.retryAfter())
	delay := c.Delays.after(r, h.failures)
	at := c.Now().Add(delay)
	line := r.text(h.name, c.authority())
	repeated := r.unreachable() && r.detail == c.silence // for another host, or before
	c.silence = ""
	if r.unreachable() {
		c.silence = r.detail
	}
	c.mu.Lock()
	h.failures++
	h.retryAt, h.problem = at, line
	if r.unreachable() {
		c.counts.Unreachable++
	} else {
		c.counts.Refused++
	}
	c.mu.Unlock()
	switch {
	case r.unreachable():
		c.note(h, attempt{}) // nobody was bothered
	case r.class == limited:
		c.note(h, attempt{Asked: h.Asked, NotBefore: at})
	}
	line = fmt.Sprintf("%s; next attempt %s", line, when(delay))
	if repeated {
		c.Log.Info().Str("host", h.name).Int("failures", h.failures).Msg(line)
		return
	}
	c.Alert(line)
}

// note keeps an attempt, so that a restart does not make one too soon. What cannot be
// kept is not worth a line: the certificate itself will tell.
func (c *Client) note(h *host, a attempt) {
	c.mu.Lock()
	h.attempt = a
	c.mu.Unlock()
	attempts := map[string]attempt{}
	for _, other := range c.hosts {
		attempts[other.name] = other.attempt
	}
	if err := c.kept.saveAttempts(attempts); err != nil {
		c.Log.Info().Err(err).Msg("attempt not kept")
	}
}

// Status describes the hosts, in their order, and counts attempts. Any goroutine may ask.
func (c *Client) Status() *status.ACME {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.counts
	for _, h := range c.hosts {
		s := status.Host{Name: h.name, Certified: h.cert != nil, Next: h.retryAt, Failures: h.failures, Problem: h.problem}
		if h.cert != nil {
			s.Next = c.renewAt(h)
		}
		if s.Next.IsZero() {
			s.Next = c.Now()
		}
		all.Hosts = append(all.Hosts, s)
	}
	return &all
}
