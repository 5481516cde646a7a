package https

import (
	"crypto/tls"
	"path/filepath"
	"syscall"
	"testing"

	"phalanx/e2e/harness"
)

// TestSessionResumption connects a hundred times with the ticket of the previous connection, to different
// workers, through a reload and an upgrade: the session is resumed each time.
func TestSessionResumption(t *testing.T) {
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
					s.Replace(syscall.SIGHUP, 3)
				case 67:
					s.Replace(syscall.SIGUSR2, 3)
				}
				r, state, err := get(s.Port, cfg, "/")
				if err != nil || string(r.Body) != "front" {
					t.Fatalf("connection %d: response %v, error %v", n, r, err)
				}
				if state.DidResume != (n > 0) || state.Version != version {
					t.Errorf("connection %d: resumed %v, TLS version %x; want resumed %v, %x", n, state.DidResume, state.Version, n > 0, version)
				}
				if n == 0 {
					first = string(pemOf("CERTIFICATE", state.PeerCertificates[0].Raw))
				}
			}
			workers := map[int]bool{}
			for _, e := range s.AwaitRequests(101) {
				workers[e.Number("pid")] = true
			}
			if len(workers) < 6 {
				t.Errorf("requests were served by workers %v, want at least 6", workers)
			}
			// A client that trusts the self-signed certificate must be able to continue.
			if got := shown(t, s.Port, &tls.Config{InsecureSkipVerify: true}); got != first {
				t.Error("the self-signed certificate has changed")
			}
		})
	}
}
