package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/acme/acmetest"
	"phalanx/internal/certificate"
)

// workers stands for the pool: it answers challenges with what was published.
type workers struct {
	http, tls int // ports

	mu      sync.Mutex
	latest  Published
	taken   Published // what is answered with
	seen    map[string]int
	changed chan struct{} // closed at each change
	lines   []string      // alerts
	news    []string
}

func newWorkers(t *testing.T) *workers {
	w := &workers{seen: map[string]int{}, changed: make(chan struct{})}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.http, w.tls = plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port
	config := &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: w.certificate}
	servers := []*http.Server{{Handler: http.HandlerFunc(w.answer)}, {Handler: http.NotFoundHandler(), ErrorLog: nil}}
	for i, l := range []net.Listener{plain, tls.NewListener(secure, config)} {
		served := make(chan struct{})
		go func() { defer close(served); _ = servers[i].Serve(l) }()
		t.Cleanup(func() { servers[i].Close(); <-served })
	}
	return w
}

func (w *workers) answer(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer, ok := w.taken.Answers[strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")]
	if !ok {
		http.NotFound(out, r)
		return
	}
	w.seen[HTTP01]++
	fmt.Fprint(out, answer)
}

func (w *workers) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set, err := certificate.Parse(w.taken.Challenges)
	if err != nil {
		return nil, err
	}
	w.seen[TLSALPN01]++
	return set.Exactly(hello.ServerName)
}

func (w *workers) publish(p Published) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = p
	close(w.changed)
	w.changed = make(chan struct{})
}

// take makes the workers use what was published last.
func (w *workers) take(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = w.latest
	return nil
}

func (w *workers) alert(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *workers) inform(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.news = append(w.news, line)
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait waits until holds returns true. It calls holds with the lock held.
func (w *workers) wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		w.mu.Lock()
		ok, changed := holds(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Fatalf("never: %s; %d certificates, lines %q", what, len(w.latest.Certificates), w.lines)
		}
	}
}

func (w *workers) waitForRenewals(t *testing.T) {
	t.Helper()
	serials := map[string]bool{}
	w.wait(t, "three certificates, one after the other", func() bool {
		for _, c := range w.latest.Certificates {
			for _, leaf := range leaves(c) {
				serials[leaf.SerialNumber.String()] = true
			}
		}
		return len(serials) == 3
	})
}

// hosts returns the hosts that have a certificate.
func (w *workers) hosts() (names []string) {
	for _, c := range w.latest.Certificates {
		for _, leaf := range leaves(c) {
			names = append(names, leaf.DNSNames...)
		}
	}
	return names
}

// leaves returns the certificate of a source, or nothing.
func leaves(c certificate.Source) []*x509.Certificate {
	pair, err := tls.X509KeyPair(c.Chain, c.Key)
	if err != nil {
		return nil
	}
	return []*x509.Certificate{pair.Leaf}
}

// running is a running client.
type running struct {
	*Client
	end context.CancelFunc
	ran chan struct{}
}

// setting returns the configuration of a test's client.
func setting(t *testing.T, a *acmetest.Authority, w *workers, hosts ...string) Config {
	t.Helper()
	state, err := OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	quick := &Delays{
		Refused: 50 * time.Millisecond, MostRefused: time.Second, Limited: 50 * time.Millisecond, MostLimited: time.Second,
		Unreachable: 50 * time.Millisecond, MostUnreachable: 200 * time.Millisecond, Chance: func() float64 { return 0.5 },
	}
	return Config{
		State: state, Directory: a.Directory, Hosts: hosts, Challenges: []string{HTTP01, TLSALPN01}, Version: "test",
		Publish: w.publish, Taken: w.take, Alert: w.alert, Inform: w.inform, Delays: quick,
	}
}

// run starts a client that trusts a test's authority.
func run(t *testing.T, cfg Config, rootFile string) *running {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(rootFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	c.calls.http.TLSClientConfig = &tls.Config{RootCAs: pool}
	ctx, end := context.WithCancel(context.Background())
	r := &running{Client: c, end: end, ran: make(chan struct{})}
	go func() { defer close(r.ran); c.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() { r.end(); <-r.ran }
