package observe

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestDashboard runs every query of the Grafana dashboard on Prometheus, which scrapes a server while
// clients use HTTP and HTTPS and a worker is killed: each query has values. The metrics that the
// alert rules and the autoscaling rules name are among the scraped ones.
func TestDashboard(t *testing.T) {
	t.Parallel()
	port, secure, admin := harness.FreePort(t), harness.Loopback(harness.FreePort(t)), harness.Loopback(harness.FreePort(t))
	s := harness.ServeSilentlyAt(t, port, harness.Plan{Args: []string{
		"--base", harness.SiteDir(t), "--workers", "2", "--listen", "http://" + harness.Loopback(port), "--listen", "https://" + secure,
		"--tls-self-signed", "--admin", admin, "--max-connections-per-client", "30",
	}})
	p := startPrometheus(t, admin, 1, "1s")
	var crowd []*harness.Client
	for range 40 { // more than --max-connections-per-client
		if c, err := harness.Connect(port); err == nil {
			crowd = append(crowd, c)
		}
	}
	for _, c := range crowd {
		c.Close()
	}
	if c, err := tls.Dial("tcp", secure, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("the server accepts TLS 1.1")
	}
	old := s.Workers()
	harness.Kill(t, old[0], syscall.SIGKILL)
	s.AwaitWorkers(2, old[0])
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	visited := make(chan error, 1)
	go func() { visited <- visitUntil(ctx, s.URL("/"), "https://"+secure+"/") }()
	pending := panelQueries(t)
	harness.Holds(20*time.Second, func() bool {
		for name, query := range pending {
			if values := p.mustAsk(query); len(values) > 0 && !math.IsNaN(values[0]) {
				delete(pending, name)
			}
		}
		return len(pending) == 0
	})
	for name, query := range pending {
		t.Errorf("no values for %s: %s", name, query)
	}
	p.mustKnow("alerts.yaml", "adapter.yaml")
	cancel()
	if err := <-visited; err != nil {
		t.Error(err)
	}
}

// mustKnow fails if a rules file names a metric that was not scraped.
func (p *prometheus) mustKnow(files ...string) {
	p.t.Helper()
	known := append(p.names(), "phalanx_http_requests_per_second", "phalanx_acme_failures", "phalanx_acme_certified") // by the adapter, and with --acme
	for _, file := range files {
		text := harness.Read(p.t, harness.Repository(p.t, "deploy", "prometheus", file))
		asked := regexp.MustCompile(`phalanx_[a-z0-9_]+`).FindAllString(string(text), -1)
		for _, name := range asked {
			if !slices.Contains(known, name) {
				p.t.Errorf("%s names %s, which was not scraped", file, name)
			}
		}
		if len(asked) == 0 {
			p.t.Errorf("%s names no metrics", file)
		}
	}
}

// visitUntil requests pages until ctx ends, the first over HTTP/1.1 and the second over HTTP/2.
func visitUntil(ctx context.Context, urls ...string) error {
	var clients []*http.Client
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2, DisableKeepAlives: !http2}
		defer transport.CloseIdleConnections()
		clients = append(clients, &http.Client{Transport: transport, Timeout: harness.ClientTimeout})
	}
	for ctx.Err() == nil {
		for i, url := range urls {
			r, err := clients[i].Get(url)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// panelQueries returns each query of the dashboard, with Grafana's variables replaced, by panel.
func panelQueries(t *testing.T) map[string]string {
	t.Helper()
	text := harness.Read(t, harness.Repository(t, "deploy", "grafana", "phalanx.json"))
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	all, taken := map[string]string{}, map[[2]int]string{}
	filled := strings.NewReplacer("$instance", ".+", "$__rate_interval", "1m")
	for _, panel := range dashboard.Panels {
		for i, target := range panel.Targets {
			all[fmt.Sprintf("%s, line %d", panel.Title, i)] = filled.Replace(target.Expr)
		}
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				place := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if taken[place] != "" {
					t.Fatalf("the panel %q overlaps %q", panel.Title, taken[place])
				}
				taken[place] = panel.Title
			}
		}
	}
	if len(dashboard.Panels) < 10 || len(all) < len(dashboard.Panels) {
		t.Fatalf("%d panels with %d queries, want at least 10, each with a query", len(dashboard.Panels), len(all))
	}
	return all
}
