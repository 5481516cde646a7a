package acme

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/internal/acme/acmetest"
)

// between returns the directory URL of a proxy before an authority. The proxy may answer a
// request itself: inPlace gets the request's payload, without the signature.
func between(t *testing.T, a *acmetest.Authority, inPlace func(r *http.Request, payload string) *http.Response) string {
	t.Helper()
	to, err := url.Parse(a.Directory)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(a.RootFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	onward := trusting(t, a)
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		// The host stays the client's: it is in what the client signs.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host
		},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := payload(r)
			if err != nil {
				return nil, err
			}
			if answer := inPlace(r, body); answer != nil {
				return answer, nil
			}
			return onward.RoundTrip(r)
		}),
	})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + to.Path
}

// trusting returns a transport that trusts an authority.
func trusting(t *testing.T, a *acmetest.Authority) *http.Transport {
	t.Helper()
	root, err := os.ReadFile(a.RootFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// payload returns the payload of a signed request, or "" if the request is not signed.
func payload(r *http.Request) (string, error) {
	if r.Body == nil || r.Method != http.MethodPost {
		return "", nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct{ Payload string }
	if err := json.Unmarshal(body, &signed); err != nil {
		return "", err
	}
	decoded, err := base64.RawURLEncoding.DecodeString(signed.Payload)
	return string(decoded), err
}

// problem returns a response in the form of RFC 8555 §6.7.
func problem(code int, kind string) *http.Response {
	return response(code, "application/problem+json", `{"type": "urn:ietf:params:acme:error:`+kind+`", "detail": "overloaded", "status": `+strconv.Itoa(code)+`}`)
}

func response(code int, kind, body string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}
}

// An authority that refuses the replaces field of an order, or responds to it with an
// internal error, gets the order without it.
func TestReplacesRefused(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls, Short: 6 * time.Second})
	answers := []*http.Response{ // in the order of renewals; the library makes three attempts at the second
		problem(http.StatusConflict, "alreadyReplaced"), problem(http.StatusInternalServerError, "serverInternal"),
		problem(http.StatusInternalServerError, "serverInternal"), problem(http.StatusInternalServerError, "serverInternal"),
	}
	cfg := setting(t, a, w, "one.test")
	cfg.Profile = "short"
	cfg.Directory = between(t, a, func(r *http.Request, payload string) (answer *http.Response) {
		if strings.Contains(payload, `"replaces":`) && len(answers) > 0 {
			answer, answers = answers[0], answers[1:]
		}
		return answer
	})
	client := run(t, cfg, a.RootFile)
	w.waitForRenewals(t)
	client.stop()
	if len(w.lines) > 0 || len(answers) > 0 {
		t.Errorf("lines %q, %d answers left, want none", w.lines, len(answers))
	}
}

// An order whose completion was requested, but whose response was lost, is not followed by another one.
func TestFinalizedUnknown(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg := setting(t, a, w, "one.test")
	onward := trusting(t, a)
	finalized := map[string]int{} // by path, which is different for each order
	lost := 0
	cfg.Directory = between(t, a, func(r *http.Request, _ string) *http.Response {
		if !strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			return nil
		}
		if finalized[r.URL.Path]++; lost > 0 {
			return nil
		}
		answer, err := onward.RoundTrip(r)
		if err != nil {
			t.Error(err)
			return problem(http.StatusInternalServerError, "serverInternal")
		}
		if answer.StatusCode != http.StatusOK { // the authority refuses some nonces
			return answer
		}
		lost++
		answer.Body.Close()
		return response(http.StatusBadGateway, "text/plain", "bad gateway")
	})
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
	client.stop()
	if s := client.Status(); lost != 1 || len(finalized) != 1 || s.Issued != 1 || s.Unreachable > 0 || len(w.lines) > 0 {
		t.Errorf("%d lost, requests %v, %+v, lines %q", lost, finalized, s, w.lines)
	}
}

// A certificate that does not arrive at once is downloaded again, not ordered again: a few
// orders use up the authority's limit of a week.
func TestIssuedLate(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg := setting(t, a, w, "one.test")
	downloads := map[string]int{} // by path, which is different for each certificate
	cfg.Directory = between(t, a, func(r *http.Request, _ string) *http.Response {
		if !strings.HasPrefix(r.URL.Path, "/certZ/") {
			return nil
		}
		if downloads[r.URL.Path]++; downloads[r.URL.Path] > 7 { // the library makes three attempts at each
			return nil
		}
		return problem(http.StatusServiceUnavailable, "serverInternal")
	})
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
	client.stop()
	if s := client.Status(); len(downloads) != 1 || s.Issued != 1 || s.Unreachable > 0 || len(w.lines) > 0 {
		t.Errorf("downloads %v, %+v, lines %q", downloads, s, w.lines)
	}
}

// A certificate that may have been issued, but did not arrive or cannot be used, counts against
// the authority's limits, as would each later one: the next attempt waits as after a refusal,
// across a restart too.
func TestUnusableCertificate(t *testing.T) {
	t.Parallel()
	unavailable := func() *http.Response { return problem(http.StatusServiceUnavailable, "serverInternal") }
	for name, c := range map[string]struct {
		path   string
		answer func() *http.Response
		line   string
	}{
		"not completed": {"/my-order/", unavailable, "its order was accepted, but not completed: overloaded (serverInternal)"},
		"not arrived":   {"/certZ/", unavailable, "it was issued, but did not arrive: overloaded (serverInternal)"},
		"unusable":      {"/certZ/", func() *http.Response { return response(http.StatusOK, "application/pem-certificate-chain", "nothing") }, "it sent one that is not usable: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkers(t)
			a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
			cfg := setting(t, a, w, "one.test")
			cfg.Delays = UsualDelays()
			cfg.Delays.Unreachable = 20 * orderTime // too late for another download
			cfg.Directory = between(t, a, func(r *http.Request, _ string) *http.Response {
				if !strings.HasPrefix(r.URL.Path, c.path) {
					return nil
				}
				return c.answer()
			})
			client := run(t, cfg, a.RootFile)
			w.wait(t, "a line", func() bool { return len(w.lines) > 0 })
			client.stop()
			s := client.Status()
			if !strings.Contains(w.lines[0], c.line) || s.Issued != 0 || s.Refused != 1 || s.Unreachable != 0 {
				t.Errorf("%q, %+v", w.lines, s)
			}
			if in := time.Until(s.Hosts[0].Next); in < 10*time.Minute || in > 30*time.Minute {
				t.Errorf("next attempt in %v", in)
			}
			if client.kept.attempts()["one.test"].Asked.IsZero() {
				t.Error("the attempt is not kept")
			}
		})
	}
}
