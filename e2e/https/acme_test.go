package https

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
	"phalanx/internal/acme/acmetest"
	"phalanx/internal/observe/status"
)

// acmeServer is a server that obtains certificates from an ACME authority.
type acmeServer struct {
	t           *testing.T
	pebble      *acmetest.Authority
	plain, port int // ports of the server
	state       string
	base        string
}

func newACMEServer(t *testing.T, o acmetest.Options) *acmeServer {
	t.Helper()
	s := &acmeServer{t: t, plain: harness.FreePort(t), port: harness.FreePort(t), state: harness.OpenDir(t) + "/state"}
	s.base = harness.Tree(t, map[string]string{"index.html": "front"})
	o.HTTP, o.TLS = s.plain, s.port
	s.pebble = acmetest.Start(t, o)
	return s
}

// plan returns the plan for a server with these hosts in --acme. Without a plain HTTP address it uses the
// TLS-ALPN challenge.
func (s *acmeServer) plan(hosts string, args ...string) harness.Plan {
	return harness.Plan{Env: []string{"SSL_CERT_FILE=" + s.pebble.RootFile}, Args: slices.Concat([]string{
		"--base", s.base, "--listen", fmt.Sprintf("https://127.0.0.1:%d", s.port), "--acme", hosts, "--state", s.state,
		"--acme-directory", s.pebble.Directory,
	}, args)}
}

func (s *acmeServer) withPlain() []string {
	return []string{"--listen", fmt.Sprintf("http://127.0.0.1:%d", s.plain)}
}

// trusting returns the configuration of a client that accepts every certificate.
func trusting(host string) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: true}
}

// certificate returns the certificate presented for a host, or nil if there is none for it yet.
func (s *acmeServer) certificate(host string) *x509.Certificate {
	s.t.Helper()
	r, state, err := get(s.port, trusting(host), "/")
	switch {
	case err != nil && strings.HasSuffix(err.Error(), "remote error: tls: internal error"):
		return nil
	case err != nil:
		s.t.Fatalf("%s: %v", host, err)
	case r.Status != 200 || string(r.Body) != "front":
		s.t.Fatalf("%s: %+v", host, r)
	}
	leaf := state.PeerCertificates[0]
	if leaf.VerifyHostname(host) != nil {
		return nil // another host's certificate: this host has none yet
	}
	return leaf
}

// await waits for a certificate of a host that satisfies ok.
func (s *acmeServer) await(host string, ok func(*x509.Certificate) bool) *x509.Certificate {
	s.t.Helper()
	var leaf *x509.Certificate
	harness.Await(s.t, 30*time.Second, "the certificate of "+host, func() bool {
		leaf = s.certificate(host)
		return leaf != nil && ok(leaf)
	})
	return leaf
}

func isAny(*x509.Certificate) bool { return true }

// TestACMECertificates starts a server before its ACME authority: it serves HTTP, and HTTPS once it has
// obtained certificates. They survive a reload, an upgrade and a restart.
func TestACMECertificates(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t, acmetest.Options{})
	s.pebble.Stop()
	p := s.plan("one.test,two.test", append(s.withPlain(), "--workers", "3")...)
	server := harness.Launch(t, p)
	harness.Await(t, 15*time.Second, "a response over plain HTTP", func() bool {
		r, err := harness.Exchange(s.plain, harness.Request("GET", "/"))
		return err == nil && (r.Status == 200 || r.Status == 308)
	})
	if leaf := s.certificate("one.test"); leaf != nil {
		t.Errorf("a certificate of %s before any was issued", leaf.Issuer)
	}
	server.AwaitText("certificate for one.test (account) not obtained from 127.0.0.1:")
	s.pebble.Restart()
	one := s.await("one.test", isAny)
	two := s.await("two.test", isAny)
	if one.SerialNumber.Cmp(two.SerialNumber) == 0 || !strings.HasPrefix(one.Issuer.CommonName, "Pebble Intermediate CA") {
		t.Errorf("serial numbers %s and %s, issuer %s; want two certificates by Pebble", one.SerialNumber, two.SerialNumber, one.Issuer)
	}
	if lines := strings.Count(server.Log.String(), "\n"); lines != 1 {
		t.Errorf("%d log lines, want 1:\n%s", lines, server.Log)
	}

	same := func(what string) {
		t.Helper()
		for range 6 { // served by different workers
			if leaf := s.certificate("one.test"); leaf == nil || leaf.SerialNumber.Cmp(one.SerialNumber) != 0 {
				t.Errorf("%s: no or another certificate", what)
			}
		}
	}
	other := s.plan("one.test")
	other.Args[slices.Index(other.Args, "--listen")+1] = "https://127.0.0.1:0"
	harness.Attempt(t, other).Rejects(t, 1, "--state "+s.state+": in use by another master (pid "+fmt.Sprint(server.PID())+"); stop it or choose another directory")
	server.Replace(syscall.SIGHUP, 3)
	same("after a reload")
	server.Replace(syscall.SIGUSR2, 3)
	same("after an upgrade")
	server.Stop(10 * time.Second)
	s.pebble.Stop()
	p.Args = append(p.Args, "-v")
	harness.ServeAs(t, p)
	same("after a restart")
}

// TestACMEOnTerminal announces on a terminal that certificates are being obtained, and when all are.
func TestACMEOnTerminal(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t, acmetest.Options{})
	term := harness.OpenTerminal(t)
	p := s.plan("one.test,two.test", s.withPlain()...)
	p.Tty, p.Env = term.Slave, append(p.Env, "TERM=xterm")
	server := harness.Launch(t, p)
	term.Await(regexp.MustCompile(`phalanx: obtaining certificates for one.test and 1 more host from 127.0.0.1:\d+`))
	term.Await(regexp.MustCompile(`phalanx: every host of --acme has a certificate`))
	s.await("one.test", isAny)
	s.await("two.test", isAny)
	server.Stop(10 * time.Second)
}

// TestACMERenewalByTLS renews short-lived certificates again and again with the TLS-ALPN challenge, which any
// worker of either engine answers. No client gets an expired certificate.
func TestACMERenewalByTLS(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"epoll", "netpoll"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := newACMEServer(t, acmetest.Options{Short: 12 * time.Second})
			p := s.plan("one.test", "--engine", engine, "--workers", "3", "-v", "--acme-profile", "short", "--acme-email", "admin@one.test")
			server := harness.ServeAs(t, p)
			first := s.await("one.test", isAny)
			stop := make(chan struct{})
			var client sync.WaitGroup
			client.Go(func() {
				// Without a certificate, or once it has expired because the machine is too slow, the
				// workers get the next one in turn.
				until, lacking := first.NotAfter, time.Now()
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					r, state, err := get(s.port, trusting("one.test"), "/")
					if time.Until(until) <= 0 {
						lacking = time.Now()
					}
					switch {
					case err == nil && r.Status == 200:
						until = state.PeerCertificates[0].NotAfter
					case time.Since(lacking) > harness.InTime(time.Second):
						t.Errorf("response %+v, error %v; want 200", r, err)
						return
					}
				}
			})
			second := s.await("one.test", func(c *x509.Certificate) bool { return c.SerialNumber.Cmp(first.SerialNumber) != 0 })
			s.await("one.test", func(c *x509.Certificate) bool {
				return c.SerialNumber.Cmp(first.SerialNumber) != 0 && c.SerialNumber.Cmp(second.SerialNumber) != 0
			})
			close(stop)
			client.Wait()
			server.Stop(10 * time.Second)
		})
	}
}

// TestACMERefused has the authority refuse one of two hosts: a log line, a metric and the pool's problems say
// so, and the other host is not affected. A reload without the host removes the problem.
func TestACMERefused(t *testing.T) {
	t.Parallel()
	s := newACMEServer(t, acmetest.Options{Blocked: "blocked.test"})
	config := harness.OpenDir(t) + "/config"
	p := s.plan("one.test", append(s.withPlain(), "-v", "--workers", "2", "--config", config)...)
	i := slices.Index(p.Args, "--acme")
	p.Args = slices.Delete(p.Args, i, i+2)
	harness.Write(t, config, []byte("acme = blocked.test,one.test\n"))
	socket := harness.SocketPath(t)
	p.Args = append(p.Args, "--admin", socket)
	server, o := harness.ServeAs(t, p), harness.EndpointAt(t, socket)
	s.await("one.test", isAny)
	const line = "certificate for blocked.test (order) refused by "
	server.AwaitText(line)
	if !strings.Contains(server.Log.String(), "(rejectedIdentifier); leave the host out of --acme, or choose another authority; next attempt in ") {
		t.Errorf("the log lacks the reason or the advice:\n%s", server.Log)
	}
	for _, want := range []string{
		`attempts_total{outcome="issued"} 1`, `attempts_total{outcome="refused"} 1`, `attempts_total{outcome="unreachable"} 0`, `failures{host="blocked.test"} 1`,
	} {
		harness.Await(t, 5*time.Second, "metric "+want, func() bool {
			_, metrics, err := o.Ask("GET", "/metrics")
			return err == nil && strings.Contains(metrics, "phalanx_acme_"+want+"\n")
		})
	}
	if problems := o.Pool().Problems; !slices.ContainsFunc(problems, func(p status.Problem) bool { return strings.HasPrefix(p.Text, line) }) {
		t.Errorf("problems of the pool: %+v, want the refusal", problems)
	}
	harness.Write(t, config, []byte("acme = one.test\nacme = two.test\n"))
	o.Order("reload").Succeeds(t, "2 workers replaced")
	s.await("two.test", isAny)
	harness.Await(t, 5*time.Second, "no problem after the host was removed", func() bool { return len(o.Pool().Problems) == 0 })
}
