package https

import (
	"crypto/tls"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestResume comes back a hundred times with the ticket of the connection before, to
// whichever worker the kernel chooses, across a reload and an upgrade. Each time the
// session resumes.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := harness.Tree(t, map[string]string{"index.html": "front"})
			dir := harness.Copies(t, "master", "worker")
			p := plan(base, "--tls-self-signed", "--workers", "3")
			p.Binary = filepath.Join(dir, "master")
			s := harness.ServeAs(t, p)
			cfg := &tls.Config{
				InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			first := ""
			for n := range 101 {
				switch n {
				case 34:
					replaced(t, s, syscall.SIGHUP)
				case 67:
					replaced(t, s, syscall.SIGUSR2)
				}
				r, state, err := get(s.Port, cfg, "/")
				if err != nil || string(r.Body) != "front" {
					t.Fatalf("connection %d: %v, %v", n, r, err)
				}
				if state.DidResume != (n > 0) || state.Version != version {
					t.Errorf("connection %d: resumed %v, TLS %x", n, state.DidResume, state.Version)
				}
				if n == 0 {
					first = state.PeerCertificates[0].SerialNumber.String()
				}
			}
			workers := map[int]bool{}
			for _, e := range s.AwaitRequests(101) {
				workers[e.Number("pid")] = true
			}
			if len(workers) < 6 {
				t.Errorf("only workers %v were asked", workers)
			}
			// Who trusts the self-signed certificate goes on doing so.
			if got := shown(t, s.Port, &tls.Config{InsecureSkipVerify: true}); got != first {
				t.Error("the self-signed certificate is another one")
			}
		})
	}
}

// replaced has all workers replaced by a signal.
func replaced(t *testing.T, s *harness.Server, sig syscall.Signal) {
	t.Helper()
	old := s.Workers()
	s.Signal(sig)
	if sig == syscall.SIGUSR2 {
		s.Log.Await(t, 10*time.Second, "upgrade", s.Exited, func(all []harness.Event) bool {
			return len(harness.WithMessage(all, "master upgraded")) > 0
		})
	}
	s.AwaitWorkers(len(old), old...)
}
