// Package acme obtains certificates from a certificate authority and renews them (ACME,
// RFC 8555).
//
// It runs in the master, in one goroutine ([Client.Run]) that nobody waits for. Each host
// has a certificate of its own, so that one that is refused does not hold up the others.
// The authority asks for proof that a host is served here; the answers to its challenges
// are given to [Config.Publish] with the certificates, for the workers, and whichever of
// them is asked answers. This package listens nowhere.
package acme

import (
	"context"
	"net/http"
	"sync"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"
	"github.com/rs/zerolog"

	"phalanx/internal/certificate"
	"phalanx/internal/observe/status"
)

// LetsEncrypt is the directory of Let's Encrypt.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// The kinds of challenges that can be answered.
const (
	HTTP01    = protocol.ChallengeTypeHTTP01    // on port 80 of the host, in the clear
	TLSALPN01 = protocol.ChallengeTypeTLSALPN01 // on port 443 of the host, in a TLS handshake
)

// Config is what a [Client] needs. Profile, Binding, Email and all functions but Publish
// and Taken may be left out.
type Config struct {
	State      *State
	Directory  string   // the URL of the authority's
	Hosts      []string // names in lower case, ASCII
	Email      string   // for the authority's messages
	Profile    string   // of certificates, one of those that the authority offers
	Binding    *Binding
	Challenges []string // kinds, the preferred first
	Version    string   // of this program, for the authority
	// Publish gives certificates and answers to those who serve, in place of all that
	// were published before. It does not wait.
	Publish func(Published)
	// Taken waits until all that serve have what was published last, or ctx ends.
	Taken func(ctx context.Context) error

	Alert  func(line string) // reports what an operator must know in silent mode too
	Inform func(line string) // reports progress to an operator who waits for certificates
	Log    zerolog.Logger

	Now    func() time.Time // time.Now
	Delays *Delays          // [UsualDelays]
}

// Published is what workers need to know. It is never changed.
type Published struct {
	Certificates []certificate.Source // one for each host that has one
	Challenges   []certificate.Source // answers to TLS-ALPN-01
	Answers      map[string]string    // answers to HTTP-01: key authorizations by token
}

// Client keeps the certificates of hosts up to date.
type Client struct {
	Config
	kept    store
	library *protocol.Client
	calls   *transport
	account account
	wake    chan struct{} // capacity 1: there is news for Run
	offered Published     // challenges and answers at this moment
	silence string        // why the authority did not answer last; "": it did
	lacking bool          // it was reported that a host has no certificate

	mu     sync.Mutex // guards what follows
	hosts  []*host
	wanted []string    // the hosts of a later Use; nil: no change
	counts status.ACME // without the hosts
}

// New makes a client with the account and the certificates that are kept in its state,
// and publishes these. Nothing else happens before [Client.Run].
func New(cfg Config) (*Client, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Delays == nil {
		cfg.Delays = UsualDelays()
	}
	kept, err := cfg.State.store(cfg.Directory)
	if err != nil {
		return nil, err
	}
	c := &Client{Config: cfg, kept: kept, calls: newTransport(), wake: make(chan struct{}, 1)}
	c.library = &protocol.Client{
		Directory: cfg.Directory, UserAgent: "phalanx/" + cfg.Version,
		HTTPClient:  &http.Client{Transport: c.calls, Timeout: callTime},
		PollTimeout: pollTime,
	}
	if c.account, err = kept.account(); err != nil {
		return nil, err
	}
	c.load(cfg.Hosts)
	c.publish()
	return c, nil
}

// Use takes another list of hosts, and soon tries those again that have failed. It does
// not wait.
func (c *Client) Use(hosts []string) {
	c.mu.Lock()
	c.wanted = append([]string{}, hosts...)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run obtains and renews certificates until ctx ends. An order that is under way then is
// abandoned; the next start makes another.
func (c *Client) Run(ctx context.Context) {
	defer c.calls.close()
	for ctx.Err() == nil {
		c.change()
		c.progress()
		h, at := c.next()
		if wait := at.Sub(c.Now()); h == nil || wait > 0 {
			c.sleep(ctx, h != nil, wait)
			continue
		}
		c.attend(ctx, h)
		c.calls.close()
	}
}

// longestSleep bounds a sleep, so that a clock that was set is noticed.
const longestSleep = time.Hour

// sleep waits until there is something to do.
func (c *Client) sleep(ctx context.Context, due bool, wait time.Duration) {
	if !due {
		wait = longestSleep
	}
	timer := time.NewTimer(min(wait, longestSleep))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-c.wake:
	case <-timer.C:
	}
}

// change applies the list of hosts of a [Client.Use].
func (c *Client) change() {
	c.mu.Lock()
	wanted := c.wanted
	c.wanted = nil
	c.mu.Unlock()
	if wanted == nil {
		return
	}
	c.load(wanted)
	c.publish()
}

// publish gives those who serve the valid certificates and the answers of the moment.
func (c *Client) publish() {
	p := Published{Challenges: c.offered.Challenges, Answers: c.offered.Answers}
	c.mu.Lock()
	for _, h := range c.hosts {
		if c.certified(h) {
			p.Certificates = append(p.Certificates, h.cert.source)
		}
	}
	c.mu.Unlock()
	c.Publish(p)
}
