// Package acme obtains certificates from a certificate authority and renews them (ACME,
// RFC 8555).
//
// It runs in the master, in one goroutine ([Client.Run]). Each host has a certificate of its
// own, so that a refused host does not delay the others. Certificates and responses to
// challenges are passed to [Config.Publish]; the workers serve both. This package does not
// listen.
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

// The supported types of challenges.
const (
	HTTP01    = protocol.ChallengeTypeHTTP01    // on port 80 of the host, plain HTTP
	TLSALPN01 = protocol.ChallengeTypeTLSALPN01 // on port 443 of the host, in a TLS handshake
)

// Config configures a [Client]. Profile, Binding, Email and all functions except Publish and
// Taken are optional.
type Config struct {
	State      *State
	Directory  string   // URL of the authority's directory
	Hosts      []string // names in lower case, ASCII
	Email      string   // contact address for the authority
	Profile    string   // certificate profile, one of those that the authority offers
	Binding    *Binding
	Challenges []string // types, the preferred first
	Version    string   // of this program, for the authority
	// Publish passes certificates and responses to the workers, replacing what was published
	// before. It does not block.
	Publish func(Published)
	// Taken waits until all workers use what was published last, or ctx ends.
	Taken func(ctx context.Context) error

	Alert  func(line string) // reports what an operator must know even in silent mode
	Inform func(line string) // reports progress to an operator who waits for certificates
	Log    zerolog.Logger

	Now    func() time.Time // time.Now
	Delays *Delays          // [UsualDelays]
}

// Published is what the workers need. It is immutable.
type Published struct {
	Certificates []certificate.Source // one for each host that has one
	Challenges   []certificate.Source // responses to TLS-ALPN-01
	Answers      map[string]string    // responses to HTTP-01: key authorizations by token
}

// Client keeps the certificates of hosts up to date.
type Client struct {
	Config
	kept      store
	library   *protocol.Client
	calls     *transport
	account   account
	wake      chan struct{} // capacity 1: wakes Run
	offered   Published     // current responses to challenges
	published time.Time     // when publish was called last
	silence   string        // last error of reaching the authority, "": none; repetitions are logged but not alerted
	lacking   bool          // it was reported that hosts lack certificates

	mu     sync.Mutex // guards the fields below
	hosts  []*host
	wanted []string    // the hosts of the last Use; nil: no change
	counts status.ACME // without the hosts
}

// New returns a client with the account and certificates stored in its state, and publishes
// the certificates. It does not contact the authority; [Client.Run] does.
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

// Use replaces the list of hosts, and retries failed hosts soon. It does not block.
func (c *Client) Use(hosts []string) {
	c.mu.Lock()
	c.wanted = append([]string{}, hosts...)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run obtains and renews certificates until ctx ends. An order under way is abandoned then;
// the next start makes a new one.
func (c *Client) Run(ctx context.Context) {
	defer c.calls.close()
	for ctx.Err() == nil {
		c.change()
		c.saveAgain()
		if c.Now().Sub(c.published) >= repeatTime {
			c.publish() // it may have failed, or a certificate was left out by a wrong clock
		}
		c.progress()
		h, at := c.next()
		if wait := at.Sub(c.Now()); h == nil || wait > 0 {
			c.sleep(ctx, wait)
			continue
		}
		c.attend(ctx, h)
		c.calls.close()
	}
}

const (
	// maxSleep limits a sleep: timers stand still while the machine is suspended, and do not notice
	// that the clock was set. What has failed to be stored is tried again then.
	maxSleep = time.Minute
	// repeatTime is the time after which certificates are published again.
	repeatTime = time.Hour
)

// sleep waits until there is something to do.
func (c *Client) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(min(wait, maxSleep))
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

// publish passes the valid certificates and the current responses to the workers.
func (c *Client) publish() {
	p := Published{Challenges: c.offered.Challenges, Answers: c.offered.Answers}
	c.mu.Lock()
	for _, h := range c.hosts {
		if c.certified(h) {
			p.Certificates = append(p.Certificates, h.cert.source)
		}
	}
	c.mu.Unlock()
	c.published = c.Now()
	c.Publish(p)
}
