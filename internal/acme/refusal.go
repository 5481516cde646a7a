package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"

	"phalanx/internal/human"
)

// class is the kind of a failure.
type class int

const (
	refused     class = iota // by the authority
	notOffered               // no such challenge for the host
	limited                  // rate limited
	unreachable              // no response
	broken                   // an internal error of the authority
	useless                  // a certificate was issued, or may have been, which counts against rate limits, but cannot be used
)

// refusal is why an attempt failed.
type refusal struct {
	class      class
	what       string // the step that failed
	challenge  bool   // it was a challenge
	detail     string // the authority's explanation, or the error
	cure       string // what to do; may be empty
	retryAfter time.Duration
}

func (r *refusal) Error() string { return r.what + ": " + r.detail }

func (r *refusal) unreachable() bool { return r.class == unreachable || r.class == broken }

// possiblyIssued returns the failure of an attempt for which a certificate may have been issued.
func possiblyIssued(what string, r *refusal) *refusal {
	return &refusal{class: useless, what: "certificate", detail: what + r.detail, retryAfter: r.retryAfter}
}

// text returns the line for the operator.
func (r *refusal) text(host, authority string) string {
	verb := "refused by"
	switch r.class {
	case unreachable:
		verb = "not obtained from"
	case broken, useless:
		verb = "not obtained because of an error at"
	case limited:
		verb = "rate-limited by"
	}
	what := ""
	if r.what != "certificate" {
		what = " (" + r.what + ")"
	}
	line := fmt.Sprintf("certificate for %s%s %s %s: %s", host, what, verb, authority, human.Visible(human.Clip(strings.TrimSpace(r.detail), maxDetail)))
	if r.cure != "" {
		line += "; " + r.cure
	}
	return line
}

// maxDetail is the longest explanation of an authority in characters.
const maxDetail = 500

// authority returns the authority's host name.
func (c *Client) authority() string {
	if u, err := url.Parse(c.Directory); err == nil && u.Host != "" {
		return u.Host
	}
	return c.Directory
}

// another reports whether another type of challenge may succeed.
func (r *refusal) another() bool {
	return r.challenge && (r.class == refused || r.class == notOffered)
}

// problemIn returns the authority's problem document (RFC 8555 §6.7).
func problemIn(err error) (protocol.Problem, bool) {
	if p, ok := errors.AsType[protocol.Problem](err); ok {
		return p, true
	}
	if p, ok := errors.AsType[*protocol.Problem](err); ok && p != nil {
		return *p, true
	}
	return protocol.Problem{}, false
}

// classify classifies an error of the last call, which occurred in a step.
func (c *Client) classify(what string, err error) *refusal {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own
	}
	r := &refusal{what: what, retryAfter: c.calls.retryAfter()}
	if p, ok := problemIn(err); ok {
		r.fromProblem(p)
	} else {
		r.fromError(err)
	}
	return r
}

// fromError classifies an error without a problem document.
func (r *refusal) fromError(err error) {
	r.class = unreachable
	r.cure = "check the network, and --acme-directory"
	call, ok := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		r.detail = "it did not respond in time"
	case ok:
		r.detail = call.Err.Error()
	default:
		r.class, r.cure, r.detail = broken, "", err.Error()
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		r.cure = "name the file with the authority's own root certificate in the variable SSL_CERT_FILE"
	}
}

// fromProblem classifies a problem document.
func (r *refusal) fromProblem(p protocol.Problem) {
	kind := strings.TrimPrefix(p.Type, protocol.ProblemTypeNamespace)
	for len(p.Subproblems) > 0 && p.Detail == "" {
		p.Detail = p.Subproblems[0].Detail
		p.Subproblems = nil
	}
	r.detail = strings.TrimSuffix(p.Detail, ".")
	if r.detail == "" {
		r.detail = p.Title
	}
	if kind != "" {
		r.detail += " (" + kind + ")"
	}
	switch {
	case p.Type == protocol.ProblemTypeRateLimited, p.Status == http.StatusTooManyRequests:
		r.class = limited
	case p.Status >= http.StatusInternalServerError, p.Type == protocol.ProblemTypeServerInternal:
		r.class = broken
	}
	r.cure = cures[kind]
	if kind == "connection" && strings.HasPrefix(r.what, TLSALPN01) {
		r.cure = "make sure that port 443 of the host leads to this server; then reload"
	}
	if p.Instance != "" && kind == "userActionRequired" {
		r.cure = "see " + p.Instance
	}
}

// cures has what to do about the problems of RFC 8555 §6.7. A reload starts another attempt.
var cures = map[string]string{
	"caa":                     "permit the authority in the host's CAA records; then reload",
	"connection":              "make sure that port 80 of the host leads to this server; then reload",
	"dns":                     "correct the host's DNS records; then reload",
	"externalAccountRequired": "give --acme-eab FILE with the key that the authority has issued",
	"invalidContact":          "correct --acme-email",
	"unsupportedContact":      "correct --acme-email",
	"invalidProfile":          "correct --acme-profile",
	"rejectedIdentifier":      "leave the host out of --acme, or choose another authority",
	"unsupportedIdentifier":   "leave the host out of --acme, or choose another authority",
	"tls":                     "make sure that port 443 of the host leads to this server; then reload",
	"unauthorized":            "make sure that the host's name leads to this server and to no other; then reload",
	"incorrectResponse":       "make sure that the host's name leads to this server and to no other; then reload",
}
