package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/internal/acme/acmetest"
)

// Two hosts get certificates by each kind of challenge, although the authority refuses
// some nonces. After a restart they are used without a request to the authority.
func TestIssue(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{HTTP01, TLSALPN01} {
		t.Run(kind, func(t *testing.T) {
			w := newWorkers(t)
			a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
			cfg := setting(t, a, w, "one.test", "www.two.test")
			cfg.Challenges, cfg.Email = []string{kind}, "admin@one.test"
			client := run(t, cfg, a.RootFile)
			w.wait(t, "two certificates", func() bool {
				return slices.Equal(w.hosts(), cfg.Hosts) && w.latest.Answers == nil && w.latest.Challenges == nil
			})
			told := []string{"obtaining certificates for one.test and 1 more host from " + client.authority(), "every host of --acme has a certificate"}
			w.wait(t, "the news", func() bool { return slices.Equal(w.news, told) })
			client.stop()
			if len(w.lines) > 0 || w.seen[kind] < 2 || len(w.seen) != 1 {
				t.Errorf("lines %q, answers %v", w.lines, w.seen)
			}
			client.mu.Lock()
			expires := client.hosts[0].cert.notAfter()
			client.mu.Unlock()
			s := client.Status()
			if len(s.Hosts) != 2 || s.Issued != 2 || s.Refused+s.Unreachable > 0 || s.Hosts[0].Problem != "" || !s.Hosts[0].Next.Before(expires) {
				t.Errorf("%+v", s)
			}
			a.Stop()
			before := w.latest
			w.publish(Published{})
			if _, err := New(cfg); err != nil {
				t.Fatal(err)
			}
			if len(w.latest.Certificates) != 2 || string(w.latest.Certificates[1].Key) != string(before.Certificates[1].Key) || string(w.latest.Certificates[1].Chain) != string(before.Certificates[1].Chain) {
				t.Errorf("after a restart: %d certificates", len(w.latest.Certificates))
			}
		})
	}
}

// Certificates with a lifetime of a few seconds are replaced before they expire, each with
// a new key.
func TestRenew(t *testing.T) {
	t.Parallel()
	for lifetime := 6 * time.Second; ; lifetime *= 2 {
		w := newWorkers(t)
		a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls, Short: lifetime})
		cfg := setting(t, a, w, "one.test")
		cfg.Profile = "short"
		client := run(t, cfg, a.RootFile)
		w.waitForRenewals(t)
		client.stop()
		if len(w.lines) == 0 && len(w.news) == 2 {
			return
		}
		if lifetime > 20*time.Second { // for an order a busy machine may need longer than the rest of a lifetime
			t.Fatalf("lines %q, news %q", w.lines, w.news)
		}
	}
}

// The beginning and the end of waiting for certificates are reported, each once.
func TestProgress(t *testing.T) {
	now := time.Now()
	w := &workers{changed: make(chan struct{})}
	c := &Client{Config: Config{Directory: "https://ca.test/directory", Inform: w.inform, Now: func() time.Time { return now }}}
	valid := &held{leaf: &x509.Certificate{NotAfter: now.Add(time.Hour)}}
	expired := &held{leaf: &x509.Certificate{NotAfter: now.Add(-time.Hour)}}
	const done = "every host of --acme has a certificate"
	for _, step := range []struct {
		hosts []*host
		want  []string
	}{
		{[]*host{{cert: valid}}, nil},
		{[]*host{{cert: valid}, {name: "b.test", retryAt: now}}, []string{"obtaining a certificate for b.test from ca.test"}},
		{[]*host{{name: "c.test"}, {name: "b.test"}}, nil},
		{[]*host{{cert: valid}, {cert: valid}}, []string{done}},
		{[]*host{{name: "a.test", cert: expired, retryAt: now.Add(3 * time.Hour)}, {name: "b.test", retryAt: now.Add(50 * time.Second)}, {cert: valid}},
			[]string{"obtaining certificates for a.test and 1 more host from ca.test; next attempt in 50 s"}},
		{nil, []string{done}},
	} {
		w.news = nil
		c.hosts = step.hosts
		for range 2 {
			c.progress()
		}
		if !slices.Equal(w.news, step.want) {
			t.Errorf("news %q, want %q", w.news, step.want)
		}
	}
}

// A host that the authority refuses does not affect the other host.
func TestRefusal(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls, Blocked: "blocked.test"})
	cfg := setting(t, a, w, "blocked.test", "host.unknown.test", "one.test")
	client := run(t, cfg, a.RootFile)
	says := func(beginning, cure string) func() bool {
		return func() bool {
			return slices.ContainsFunc(w.lines, func(line string) bool {
				return strings.HasPrefix(line, beginning) && strings.Contains(line, cure+"; next attempt in ") && !strings.Contains(line, "\n")
			})
		}
	}
	w.wait(t, "the certificate of the third", func() bool { return slices.Equal(w.hosts(), []string{"one.test"}) })
	w.wait(t, "the first refused", says("certificate for blocked.test (order) refused by 127.0.0.1:", "(rejectedIdentifier); leave the host out of --acme, or choose another authority"))
	w.wait(t, "the second refused", says("certificate for host.unknown.test (http-01 challenge) refused by 127.0.0.1:", "reload"))
	s := client.Status()
	if s.Issued != 1 || s.Refused < 2 || s.Hosts[0].Failures == 0 || s.Hosts[0].Problem == "" || s.Hosts[1].Certified {
		t.Errorf("%+v", s)
	}
	client.Use([]string{"one.test", "three.test"})
	w.wait(t, "the certificate of a host that came with a reload", func() bool { return slices.Equal(w.hosts(), []string{"one.test", "three.test"}) })
}

// An unreachable authority is tried again and logged once. One that has lost all
// accounts gets the same account again.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	a.Stop()
	cfg := setting(t, a, w, "one.test", "another.test")
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a line", func() bool { return len(w.lines) > 0 })
	for client.failures() < 3 {
		time.Sleep(10 * time.Millisecond)
	}
	a.Restart()
	w.wait(t, "two certificates", func() bool { return len(w.hosts()) == 2 })
	w.mu.Lock()
	if len(w.lines) != 1 || !strings.HasPrefix(w.lines[0], "certificate for one.test (account) not obtained from 127.0.0.1:") ||
		!strings.Contains(w.lines[0], "connection refused; check the network, and --acme-directory; next attempt in 1 s") {
		t.Errorf("lines %q", w.lines)
	}
	w.mu.Unlock()
	key := client.account.key
	a.Stop()
	a.Restart()
	client.Use([]string{"one.test", "another.test", "two.test"})
	w.wait(t, "a certificate by an account that was lost", func() bool { return len(w.hosts()) == 3 })
	client.stop()
	if len(w.lines) != 1 {
		t.Errorf("lines %q", w.lines)
	}
	if kept, err := client.kept.account(); err != nil || !key.Public().(*ecdsa.PublicKey).Equal(kept.key.Public()) || kept.Location != client.account.Location {
		t.Errorf("%+v, %v", kept, err)
	}
}

// stopped returns an authority, and the configuration of a client that has obtained the certificate of one.test and
// was stopped.
func stopped(t *testing.T, w *workers) (a *acmetest.Authority, cfg Config) {
	t.Helper()
	a = acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg = setting(t, a, w, "one.test")
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
	client.stop()
	return a, cfg
}

// An account that the authority has lost is registered again, also if its address for mail has
// changed.
func TestAccountLost(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a, cfg := stopped(t, w)
	a.Stop()
	a.Restart()
	cfg.Email, cfg.Hosts = "admin@one.test", []string{"two.test", "one.test"}
	client := run(t, cfg, a.RootFile)
	w.wait(t, "another certificate", func() bool { return len(w.hosts()) == 2 })
	client.stop()
	if kept, err := client.kept.account(); err != nil || kept.Email != cfg.Email || len(w.lines) > 0 {
		t.Errorf("%+v, %v, lines %q", kept, err, w.lines)
	}
}

// A certificate that could not be stored is stored once that is possible.
func TestStoredLater(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg := setting(t, a, w, "one.test")
	kept, err := cfg.State.store(cfg.Directory)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(kept.dir, "certificates")
	cfg.Taken = func(ctx context.Context) error { return errors.Join(os.RemoveAll(dir), w.take(ctx)) }
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a line", func() bool {
		return slices.ContainsFunc(w.lines, func(line string) bool {
			return strings.HasPrefix(line, "certificate for one.test is in use, but was not stored: ")
		})
	})
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	client.Use(cfg.Hosts)
	deadline := time.Now().Add(time.Minute)
	for _, err = kept.certificate("one.test"); err != nil && time.Now().Before(deadline); _, err = kept.certificate("one.test") {
		time.Sleep(10 * time.Millisecond)
	}
	client.stop()
	if last := kept.attempts()["one.test"]; err != nil || !last.Asked.IsZero() || len(w.lines) != 1 {
		t.Errorf("%v, %+v, lines %q", err, last, w.lines)
	}
}

// failures returns the failures of the first host.
func (r *running) failures() int {
	return r.Status().Hosts[0].Failures
}

// An authority with a rate limit says when the next request may come. The time is kept
// across a restart.
func TestRateLimitOfAuthority(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a, cfg := stopped(t, w)

	cfg.Hosts = []string{"one.test", "two.test"}
	cfg.Directory = hostile(t, a, nil, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/problem+json")
		out.Header().Set("Retry-After", "10800")
		out.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(out, `{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many registrations"}`)
	})
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a line", func() bool { return len(w.lines) > 0 })
	client.stop()
	want := "certificate for one.test (account) rate-limited by " + client.authority() + ": too many registrations (rateLimited); next attempt in 3 h 0 min"
	if w.lines[0] != want {
		t.Errorf("%q, want %q", w.lines[0], want)
	}
	client = run(t, cfg, a.RootFile)
	if left := time.Until(client.Status().Hosts[0].Next); left < 2*time.Hour || left > 3*time.Hour {
		t.Errorf("next attempt after a restart in %v", left)
	}
}

// The account is bound to an external one.
func TestBinding(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	const id, key = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls, Binding: id + ":" + key})
	cfg := setting(t, a, w, "one.test")
	client := run(t, cfg, a.RootFile)
	w.wait(t, "a line", func() bool { return len(w.lines) > 0 })
	client.stop()
	if !strings.Contains(w.lines[0], "(externalAccountRequired); give --acme-eab FILE") {
		t.Errorf("%q", w.lines)
	}
	file := filepath.Join(t.TempDir(), "binding")
	if err := os.WriteFile(file, []byte(id+" "+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if cfg.Binding, err = ReadBinding(file); err != nil {
		t.Fatal(err)
	}
	client = run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
	client.stop()
	location := client.account.Location
	cfg.Email, cfg.Hosts = "admin@one.test", append(cfg.Hosts, "two.test")
	client = run(t, cfg, a.RootFile)
	w.wait(t, "a certificate with another address for mail", func() bool { return len(w.hosts()) == 2 })
	client.stop()
	if kept, err := client.kept.account(); err != nil || kept.Email != cfg.Email || kept.Location != location {
		t.Errorf("%+v, %v", kept, err)
	}
}

// If one kind of challenge does not reach the server, the other is tried at once, and
// first from then on.
func TestOtherChallenge(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: acmetest.FreePort(t), TLS: w.tls, Short: 6 * time.Second})
	cfg := setting(t, a, w, "one.test")
	cfg.Profile = "short"
	var offered []string
	cfg.Publish = func(p Published) {
		w.mu.Lock()
		if len(p.Answers) > 0 {
			offered = append(offered, HTTP01)
		}
		if len(p.Challenges) > 0 {
			offered = append(offered, TLSALPN01)
		}
		w.mu.Unlock()
		w.publish(p)
	}
	client := run(t, cfg, a.RootFile)
	var first string
	w.wait(t, "a certificate", func() bool {
		for _, c := range w.latest.Certificates {
			first = string(c.Chain)
		}
		return first != ""
	})
	w.wait(t, "another", func() bool { // on a busy machine, the first one may expire before
		n := len(w.latest.Certificates)
		return n > 0 && string(w.latest.Certificates[n-1].Chain) != first
	})
	// Pebble renews one in a hundred without a challenge, whatever PEBBLE_AUTHZREUSE is.
	w.wait(t, "a challenge for a renewal", func() bool { return len(offered) > 2 })
	client.stop()
	if len(w.lines) > 0 || !slices.Equal(offered[:3], []string{HTTP01, TLSALPN01, TLSALPN01}) {
		t.Errorf("lines %q, offered %q", w.lines, offered)
	}
}

// A client that is stopped in the middle of an order leaves nothing behind that prevents
// the next order.
func TestInterruptedOrder(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg := setting(t, a, w, "one.test")
	asked := make(chan struct{}, 1)
	cfg.Taken = func(ctx context.Context) error {
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	client := run(t, cfg, a.RootFile)
	<-asked
	client.stop()
	if s := client.Status(); len(w.lines) > 0 || s.Issued+s.Refused+s.Unreachable > 0 || s.Hosts[0].Failures > 0 || w.latest.Answers != nil {
		t.Errorf("lines %q, %+v, answers %v", w.lines, s, w.latest.Answers)
	}
	cfg.Taken = w.take
	run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
}

// A worker that does not take the challenges does not block the others forever.
func TestNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorkers(t)
	a := acmetest.Start(t, acmetest.Options{HTTP: w.http, TLS: w.tls})
	cfg := setting(t, a, w, "one.test")
	cfg.Taken = func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the wait does not end")
		}
		return errors.Join(w.take(ctx), context.DeadlineExceeded)
	}
	run(t, cfg, a.RootFile)
	w.wait(t, "a certificate", func() bool { return len(w.hosts()) == 1 })
}
