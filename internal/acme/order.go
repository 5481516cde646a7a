package acme

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"

	"phalanx/internal/certificate"
)

// obtain orders a certificate for a host (RFC 8555 §7.4). A failed challenge invalidates the
// order, so each type of challenge is tried with a new order.
func (c *Client) obtain(ctx context.Context, h *host) (*held, error) {
	account, err := c.registered(ctx)
	if err != nil {
		return nil, c.classify("account", err)
	}
	kinds := slices.Clone(c.Challenges)
	if i := slices.Index(kinds, h.solved); i > 0 {
		kinds[0], kinds[i] = kinds[i], kinds[0]
	}
	var failed *refusal
	for _, kind := range kinds {
		order, err := c.order(ctx, &account, h)
		if err != nil {
			return nil, c.classify("order", err)
		}
		switch r := c.authorize(ctx, account, order, kind); {
		case r == nil:
			c.mu.Lock()
			h.solved = kind
			c.mu.Unlock()
			return c.finish(ctx, account, order, h)
		case ctx.Err() != nil || !r.another():
			return nil, r
		case failed == nil || failed.class == notOffered:
			failed = r // report the error of the preferred type
		}
	}
	return nil, failed
}

// registered returns the account, which it registers or updates if need be.
func (c *Client) registered(ctx context.Context) (protocol.Account, error) {
	a := protocol.Account{
		Status: protocol.StatusValid, Location: c.account.Location, PrivateKey: c.account.key, TermsOfServiceAgreed: true,
	}
	if c.Email != "" {
		a.Contact = []string{"mailto:" + c.Email}
	}
	switch {
	case a.Location == "":
		if c.Binding != nil {
			if err := a.SetExternalAccountBinding(ctx, c.library, protocol.EAB(*c.Binding)); err != nil {
				return a, err
			}
		}
		a.Status = ""
		made, err := c.library.NewAccount(ctx, a)
		if err != nil {
			return a, err
		}
		a.Location, a.Status = made.Location, made.Status
		directory, err := c.library.GetDirectory(ctx)
		if err == nil && directory.Meta != nil {
			c.Log.Info().Str("account", a.Location).Str("terms", directory.Meta.TermsOfService).Msg("account registered; terms of service agreed to")
		}
	case c.account.Email != c.Email:
		_, err := c.library.UpdateAccount(ctx, protocol.Account{Location: a.Location, PrivateKey: a.PrivateKey, Contact: a.Contact})
		if problem, refused := problemIn(err); refused && problem.Type == protocol.ProblemTypeAccountDoesNotExist {
			c.account.Location = "" // the authority has lost it
			return c.registered(ctx)
		}
		if err != nil {
			return a, err
		}
	default:
		return a, nil
	}
	c.account.Location, c.account.Email = a.Location, c.Email
	if err := c.kept.saveAccount(c.account); err != nil {
		c.Log.Warn().Err(err).Msg("account not stored; it will be looked up again")
	}
	return a, nil
}

// order creates an order, or returns one that the authority still has. If the authority has
// lost the account, it is registered again, and account is the new one. If it refuses the
// certificate to be replaced, the order is repeated without that.
func (c *Client) order(ctx context.Context, account *protocol.Account, h *host) (protocol.Order, error) {
	wanted := protocol.Order{Profile: c.Profile, Identifiers: []protocol.Identifier{{Type: "dns", Value: h.name}}}
	if h.cert != nil {
		if directory, err := c.library.GetDirectory(ctx); err == nil && directory.RenewalInfo != "" {
			wanted.Replaces, _ = protocol.ARIUniqueIdentifier(h.cert.leaf) // RFC 9773 §5; it is optional
		}
	}
	lost := false
	for {
		order, err := c.library.NewOrder(ctx, *account, wanted)
		problem, refused := problemIn(err)
		switch {
		case refused && !lost && problem.Type == protocol.ProblemTypeAccountDoesNotExist:
			lost, c.account.Location = true, ""
			if *account, err = c.registered(ctx); err != nil {
				return order, err
			}
		case refused && wanted.Replaces != "" && isAboutOrder(problem):
			wanted.Replaces = "" // it was replaced already, or is unknown to the authority
		default:
			return order, err
		}
	}
}

// isAboutOrder reports whether the authority may accept a different order now. Some fail with
// an internal error (500) if they do not know the certificate to be replaced.
func isAboutOrder(p protocol.Problem) bool {
	return p.Type != protocol.ProblemTypeRateLimited && p.Status <= http.StatusInternalServerError
}

// authorize completes the authorizations of an order with one type of challenge.
func (c *Client) authorize(ctx context.Context, account protocol.Account, order protocol.Order, kind string) *refusal {
	for _, url := range order.Authorizations {
		authz, err := c.library.GetAuthorization(ctx, account, url)
		if err != nil {
			return c.classify("authorization", err)
		}
		if authz.Status == protocol.StatusValid {
			continue
		}
		i := slices.IndexFunc(authz.Challenges, func(ch protocol.Challenge) bool { return ch.Type == kind })
		if i < 0 {
			return &refusal{
				class: notOffered, what: kind + " challenge", challenge: true,
				detail: "the authority does not offer this type of challenge for the host",
				cure:   "listen on port 80 or 443 as well, whichever is missing",
			}
		}
		if err := c.solve(ctx, account, authz, authz.Challenges[i]); err != nil {
			r := c.classify(kind+" challenge", err)
			r.challenge = true
			return r
		}
	}
	return nil
}

// solve responds to one challenge and waits for its validation.
func (c *Client) solve(ctx context.Context, account protocol.Account, authz protocol.Authorization, ch protocol.Challenge) error {
	if err := c.offer(ctx, authz.IdentifierValue(), ch); err != nil {
		return err
	}
	defer c.withdraw()
	if _, err := c.library.InitiateChallenge(ctx, account, ch); err != nil {
		return err
	}
	_, err := c.library.PollAuthorization(ctx, account, authz)
	return err
}

// finish finalizes the order with a new key and downloads the certificate.
func (c *Client) finish(ctx context.Context, account protocol.Account, order protocol.Order, h *host) (*held, error) {
	key, text, err := certificate.NewKey()
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{h.name}}, key)
	if err != nil {
		return nil, err
	}
	order, err = c.finalize(ctx, account, order, request)
	if err != nil && order.Status == protocol.StatusProcessing { // it may still be issued
		return nil, possiblyIssued("its order was accepted, but not completed: ", c.classify("certificate", err))
	}
	if err != nil {
		return nil, c.classify("certificate", err)
	}
	chain, err := c.download(ctx, account, order.Certificate)
	if err != nil {
		return nil, err
	}
	source := certificate.Source{Name: h.name, Chain: chain, Key: text}
	cert, err := newHeld(h.name, source, c.Now())
	if err != nil {
		return nil, &refusal{class: useless, what: "certificate", detail: "it sent one that is not usable: " + err.Error()}
	}
	return cert, nil
}

// finalize finalizes an order. If the response is lost and the library repeats the request, the
// authority refuses it, because the order is no longer "ready" (RFC 8555 §7.4), and the library
// believes the status from before. So the authority is asked for the status: the order may have been
// completed, and each further one would count against rate limits.
func (c *Client) finalize(ctx context.Context, account protocol.Account, order protocol.Order, request []byte) (protocol.Order, error) {
	done, err := c.library.FinalizeOrder(ctx, account, order, request)
	if _, refused := problemIn(err); err == nil || refused || done.Status == protocol.StatusProcessing {
		return done, err
	}
	now, failed := c.library.GetOrder(ctx, account, order)
	switch {
	case failed == nil && now.Status == protocol.StatusValid:
		return now, nil
	case failed == nil && now.Status == protocol.StatusProcessing:
		return c.library.FinalizeOrder(ctx, account, now, request) // waits for a status that is final
	}
	return done, err
}

// download downloads an issued certificate. It retries as long as the attempt has time, because
// each further order would count against the authority's rate limits.
func (c *Client) download(ctx context.Context, account protocol.Account, url string) ([]byte, error) {
	for failures := 0; ; failures++ {
		chains, err := c.library.GetCertificateChain(ctx, account, url)
		if err == nil && len(chains) > 0 {
			return chains[0].ChainPEM, nil
		}
		if err == nil {
			err = errors.New("it sent none")
		}
		r := c.classify("certificate", err)
		delay := c.Delays.after(&refusal{class: unreachable, retryAfter: r.retryAfter}, failures)
		if end, _ := ctx.Deadline(); ctx.Err() != nil || time.Until(end) < delay {
			return nil, possiblyIssued("it was issued, but did not arrive: ", r)
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
}

// ask gets the authority's renewal window for a certificate (RFC 9773). Without one the
// lifetime of the certificate decides.
func (c *Client) ask(ctx context.Context, h *host) {
	limit, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	info, err := c.library.GetRenewalInfo(limit, h.cert.leaf)
	if ctx.Err() != nil {
		return
	}
	delay := defaultAsk
	if err == nil && info.RetryAfter != nil {
		delay = min(max(info.RetryAfter.Sub(c.Now()), minAsk), maxAsk)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.askAt = c.Now().Add(delay)
	if err != nil {
		c.Log.Info().Str("host", h.name).Err(err).Msg("renewal window unknown; renewing when a third of the lifetime is left")
		return
	}
	before := h.window
	h.window = window{info.SuggestedWindow.Start, info.SuggestedWindow.End}
	if h.window != before && info.ExplanationURL != "" {
		c.Log.Warn().Str("host", h.name).Str("url", info.ExplanationURL).Msg("the authority explains its renewal window")
	}
}
