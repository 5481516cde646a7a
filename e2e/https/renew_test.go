package https

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var swaps = flag.Int("swaps", 4, "how often TestRenewed replaces the certificate")

// TestRenewed replaces the certificate again and again while one client opens new connections and another
// keeps its connection: no request fails.
func TestRenewed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := a.save(a.fresh())
	s := harness.ServeAs(t, plan(harness.Tree(t, map[string]string{"index.html": "front"}), append(f.flags(), "--workers", "2")...))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var asked atomic.Int64
	visit := func(ask func() (*harness.Reply, error)) {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := ask(); err != nil || string(r.Body) != "front" {
					t.Errorf("after %d requests: response %v, error %v", asked.Load(), r, err)
					return
				}
				asked.Add(1)
				time.Sleep(time.Millisecond) // a moderate load
			}
		})
	}
	visit(func() (*harness.Reply, error) { r, _, err := get(s.Port, a.config(), "/"); return r, err })
	kept, _, err := dial(s.Port, a.config())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	visit(func() (*harness.Reply, error) {
		if err := kept.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
			return nil, err
		}
		r, err := kept.Ask(harness.Request("GET", "/"))
		if err == nil && r.Closes() {
			err = errors.New("the response has Connection: close")
		}
		return r, err
	})
	for range *swaps {
		next := a.fresh()
		f.write(t, next)
		awaitShown(t, s.Port, a.config(), next)
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests during %d replacements", asked.Load(), *swaps)
}

// TestInvalidRenewal replaces the certificate with invalid ones, on a server without -v: each is reported
// once, in one line, and the current one stays in use, even in a worker that starts meanwhile.
func TestInvalidRenewal(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	good, other := a.fresh(), a.fresh()
	f := a.save(good)
	port := harness.FreePort(t)
	s := harness.Launch(t, harness.Plan{Args: append([]string{
		"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "--listen", fmt.Sprintf("https://127.0.0.1:%d", port), "--workers", "1",
	}, f.flags()...)})
	harness.Await(t, 15*time.Second, "a response", func() bool {
		_, _, err := get(port, a.config(), "/")
		return err == nil
	})
	lines := func() []string { return s.Log.Lines() }
	for i, c := range []struct {
		damage func()
		want   string
	}{
		{func() { f.write(t, issued{cert: good.cert, key: other.key}) },
			`phalanx: certificate "` + f.cert + `": the private key does not belong to the certificate (key "` + f.key + `"); the current one stays in use`},
		{func() { f.write(t, a.issue(ecKey(t), time.Now().Add(-time.Hour), "localhost")) }, `": it expired on `},
		{func() { os.Remove(f.key) }, `phalanx: key "` + f.key + `" of certificate "` + f.cert + `": no such file or directory; the current one stays in use`},
	} {
		c.damage()
		harness.Await(t, 10*time.Second, "a line: "+c.want, func() bool { return len(lines()) == i+1 })
		if got := lines()[i]; !strings.Contains(got, c.want) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	old := s.Workers()
	harness.Kill(t, old[0], syscall.SIGKILL)
	s.AwaitWorkers(1, old...)
	if shown(t, port, a.config()) != string(good.cert) {
		t.Error("the new worker presents another certificate")
	}
	f.write(t, other)
	awaitShown(t, port, a.config(), other)
	for _, line := range lines()[3:] {
		if strings.Contains(line, "certificate") {
			t.Errorf("an invalid certificate was reported again: %s", line)
		}
	}
}

// TestReloadedCertificates adds a certificate to the options file and reloads. A reload with an invalid one
// is refused as a whole.
func TestReloadedCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	first, second := a.save(a.fresh("first.test")), a.save(a.fresh("second.test"))
	config := first.cert + ".conf"
	set := func(pairs ...files) {
		var b strings.Builder
		for _, f := range pairs {
			fmt.Fprintf(&b, "tls-cert = %s\ntls-key = %s\n", f.cert, f.key)
		}
		harness.Write(t, config, []byte(b.String()))
	}
	set(first)
	s := harness.ServeAs(t, plan(harness.Tree(t, map[string]string{"index.html": "front"}), "--config", config, "--workers", "1"))
	cfg := &tls.Config{RootCAs: a.pool, ServerName: "second.test"}
	if _, _, err := get(s.Port, cfg, "/"); err == nil {
		t.Error("the second certificate is in use before the reload")
	}
	set(first, files{second.cert, first.key})
	s.Signal(syscall.SIGHUP)
	s.AwaitText("reload: certificate \\\"" + second.cert + "\\\": the private key does not belong to the certificate")
	set(first, second)
	s.Replace(syscall.SIGHUP, 1)
	harness.Await(t, 10*time.Second, "the second certificate", func() bool {
		_, _, err := get(s.Port, cfg, "/")
		return err == nil
	})
}
