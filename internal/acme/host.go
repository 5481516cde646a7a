package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"phalanx/internal/certificate"
	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// host is a host and the state of its certificate. Only Run changes it, under Client.mu.
type host struct {
	name     string
	cert     *held     // nil: none
	askAt    time.Time // when to ask for the renewal window next
	window   window    // the authority's renewal window
	failures int       // consecutive failed attempts
	delayed  int       // those since the last reload, which determine the delay
	retryAt  time.Time // the next attempt after a failure
	attempt            // the last one
	unsaved  bool      // the certificate could not be stored; only Run uses it
	solved   string    // the type of challenge that succeeded last
	problem  string    // of the last attempt, or ""
}

// held is a certificate in use.
type held struct {
	source certificate.Source
	leaf   *x509.Certificate
	got    time.Time // when it was obtained, by the wall clock
}

func (h *held) notAfter() time.Time { return h.leaf.NotAfter }

// newHeld checks a certificate from the state or from the authority.
func newHeld(host string, source certificate.Source, got time.Time) (*held, error) {
	set, err := certificate.Parse([]certificate.Source{source})
	if err != nil {
		return nil, err
	}
	cert, err := set.Exactly(host)
	if err != nil {
		return nil, fmt.Errorf("certificate %q: it is not valid for %s", source.Name, host)
	}
	return &held{source: source, leaf: cert.Leaf, got: got.Round(0)}, nil
}

// load replaces the list of hosts. Hosts that were in it keep their state, but failed ones are
// retried soon.
func (c *Client) load(names []string) {
	before := map[string]*host{}
	for _, h := range c.hosts { // only this goroutine changes them
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
			h.delayed, h.retryAt = 0, c.Delays.again(h.attempt, c.Now())
		}
	}
}

// restored returns a host with the certificate from the state.
func (c *Client) restored(name string, last attempt) *host {
	h := &host{name: name, attempt: last, retryAt: c.Delays.again(last, c.Now())}
	source, err := c.kept.certificate(name)
	if err == nil {
		h.cert, err = newHeld(name, source, time.Time{})
	}
	switch {
	case err == nil:
		h.cert.got = h.cert.leaf.NotBefore
		if c.Now().Before(h.cert.got) {
			c.Alert(fmt.Sprintf("certificate for %s is not valid before %s; check the clock", name, h.cert.got.UTC().Format(time.RFC3339)))
		}
	case !errors.Is(err, errNotKept):
		c.Alert(err.Error() + "; ordering another")
	}
	return h
}

// certified reports whether a host has a certificate that has not expired.
func (c *Client) certified(h *host) bool { return h.cert != nil && c.Now().Before(h.cert.notAfter()) }

// progress informs the operator when hosts begin to lack certificates, and when all have one.
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

// next returns the host that is due first, and when it is; nil and a later time if there are no
// hosts.
func (c *Client) next() (first *host, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at = c.Now().Add(maxSleep)
	for _, h := range c.hosts {
		if t := c.due(h); first == nil || t.Before(at) {
			first, at = h, t
		}
	}
	return first, at
}

// due returns the time of the next action for a host.
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

// renewAt returns when to renew a host's certificate. If it was obtained in the future, the clock
// was ahead then, and the time does not count, as after a restart.
func (c *Client) renewAt(h *host) time.Time {
	cert := *h.cert
	if cert.got.After(c.Now()) {
		cert.got = cert.leaf.NotBefore
	}
	at := renewal(&cert, h.window)
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
	case ctx.Err() == nil: // otherwise Run ends
		c.failed(h, err)
	}
}

// obtained publishes and stores a new certificate.
func (c *Client) obtained(h *host, cert *held) {
	renewed := h.cert != nil
	c.silence = ""
	c.mu.Lock()
	h.cert, h.failures, h.delayed, h.retryAt, h.problem = cert, 0, 0, time.Time{}, ""
	h.window, h.askAt = window{}, c.Now()
	c.counts.Issued++
	c.mu.Unlock()
	if err := c.save(h); err != nil {
		c.Alert(fmt.Sprintf("certificate for %s is in use, but was not stored: %v; this is retried every minute, and a restart before then orders another one", h.name, err))
	}
	c.Log.Info().Str("host", h.name).Bool("renewed", renewed).Time("expires", cert.notAfter()).Msg("certificate obtained")
	c.publish()
}

// save stores the certificate of a host.
func (c *Client) save(h *host) error {
	err := c.kept.saveCertificate(h.name, h.cert.source)
	if h.unsaved = err != nil; err == nil {
		c.note(h, attempt{}) // the certificate determines the next attempt
	}
	return err
}

// saveAgain stores certificates that could not be stored before.
func (c *Client) saveAgain() {
	for _, h := range c.hosts {
		if h.unsaved && c.save(h) == nil {
			c.Log.Info().Str("host", h.name).Msg("certificate stored")
		}
	}
}

// failed records a failed attempt and reports it.
func (c *Client) failed(h *host, err error) {
	r := c.classify("certificate", err)
	delay := c.Delays.after(r, h.delayed)
	at := c.Now().Add(delay)
	line := r.text(h.name, c.authority())
	repeated := r.unreachable() && r.detail == c.silence // for another host, or before
	c.silence = ""
	if r.unreachable() {
		c.silence = r.detail
	}
	c.mu.Lock()
	h.failures, h.delayed = h.failures+1, h.delayed+1
	h.retryAt, h.problem = at, line
	if r.unreachable() {
		c.counts.Unreachable++
	} else {
		c.counts.Refused++
	}
	c.mu.Unlock()
	switch {
	case r.unreachable():
		c.note(h, attempt{}) // the attempt does not count at the authority
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

// note stores an attempt, so that the next one is not too soon after a restart. Failing to
// store it is not alerted, because saving the certificate fails too.
func (c *Client) note(h *host, a attempt) {
	c.mu.Lock()
	h.attempt = a
	c.mu.Unlock()
	attempts := map[string]attempt{}
	for _, other := range c.hosts {
		attempts[other.name] = other.attempt
	}
	if err := c.kept.saveAttempts(attempts); err != nil {
		c.Log.Info().Err(err).Msg("attempt not stored")
	}
}

// Status returns the hosts, in their order, and the counts of attempts. It is safe for
// concurrent use.
func (c *Client) Status() *status.ACME {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.counts
	for _, h := range c.hosts {
		s := status.Host{Name: h.name, Certified: c.certified(h), Next: h.retryAt, Failures: h.failures, Problem: h.problem}
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
