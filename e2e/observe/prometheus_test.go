package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestPrometheus scrapes a server with Prometheus through ten reloads and two upgrades: every scrape
// succeeds, no counter is ever reset, and the counters equal what clients have counted. promtool
// accepts the metrics.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	base := auditable(t)
	dir := harness.Copies(t, "master", "worker")
	o := harness.OperatedAt(t, harness.Plan{
		Binary: filepath.Join(dir, "master"), Args: []string{"--base", base, "--workers", "2"},
	}, "tcp", harness.Loopback(harness.FreePort(t)))
	start := settled(o)
	p := startPrometheus(t, o.Endpoint, scrapers, "5s")
	const requests = "phalanx_http_requests_total"
	harness.Await(t, 20*time.Second, "the first samples", func() bool { return p.agree("sum by (job) ("+requests+")", start.Total.Answered) })
	a := newAudit(o.Port, false)
	defer a.stop()
	for i := range 12 {
		sig := syscall.SIGHUP
		if i%6 == 5 {
			sig = syscall.SIGUSR2
		}
		at, old := p.samples(), o.Workers()
		o.Signal(sig)
		reloaded(o, old)
		harness.Await(t, 10*time.Second, "one more sample", func() bool { return p.samples() > at })
	}
	a.stop()
	for _, err := range a.errs {
		t.Errorf("a client: %v", err)
	}
	for query, want := range map[string]int64{
		"sum by (job) (" + requests + ")":                           start.Total.Answered + a.total(),
		"sum by (job) (phalanx_http_sent_bytes_total)":              start.Total.Bytes + a.bytes,
		"sum by (job) (phalanx_connections_accepted_total)":         start.Total.Accepted + a.conns,
		"sum by (job) (last_over_time(phalanx_reloads_total[20s]))": 12,
	} {
		if !harness.Holds(15*time.Second, func() bool { return p.agree(query, want) }) {
			t.Errorf("%s is %v, want %d", query, p.mustAsk(query), want)
		}
	}
	p.noResets()
	for query, want := range map[string]float64{"min(min_over_time(up[10m]))": 1, "sum(changes(phalanx_start_time_seconds[10m]))": 0} {
		if got := p.mustAsk(query); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %v", query, got, want)
		}
	}
	t.Logf("%d samples, %d responses", p.samples(), a.total())
	checkMetrics(o)
}

// checkMetrics checks a scrape with promtool.
func checkMetrics(o *harness.Operator) {
	o.T.Helper()
	text, err := o.Read("/metrics")
	if err != nil {
		o.T.Fatal(err)
	}
	cmd := exec.Command(harness.Tool(o.T, "apt-get install prometheus", "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		o.T.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// prometheus is a running Prometheus.
type prometheus struct {
	t    *testing.T
	http http.Client
	api  string
}

// scrapers is the number of jobs that scrape, each every five seconds. One job could not scrape as
// often: a scrape must not take longer than the interval, and a busy machine may need more than a
// second.
const scrapers = 15

// startPrometheus starts Prometheus and waits until it is ready. Each of its jobs scrapes the target at
// an interval. It is stopped at the end of the test, or after five minutes.
func startPrometheus(t *testing.T, target string, jobs int, interval string) *prometheus {
	t.Helper()
	dir := harness.OpenDir(t)
	config := fmt.Sprintf("global: {scrape_interval: %s, scrape_timeout: %[1]s}\nscrape_configs:\n", interval)
	for i := range jobs {
		config += fmt.Sprintf("- {job_name: phalanx%d, static_configs: [{targets: ['%s']}]}\n", i, target)
	}
	harness.Write(t, filepath.Join(dir, "config.yml"), []byte(config))
	addr := harness.Loopback(harness.FreePort(t))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, harness.Tool(t, "apt-get install prometheus", "prometheus"),
		"--config.file="+filepath.Join(dir, "config.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Env, cmd.Dir = harness.BareEnv(), dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second // then Go kills it
	var words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t, api: "http://" + addr, http: http.Client{Transport: &http.Transport{}, Timeout: harness.ClientTimeout}}
	t.Cleanup(func() {
		p.http.CloseIdleConnections()
		cancel()
		_ = cmd.Wait() // it was stopped by a signal
		if t.Failed() {
			t.Logf("output of prometheus:\n%s", words.String())
		}
	})
	harness.Await(t, 20*time.Second, "a ready prometheus", func() bool {
		r, err := p.http.Get(p.api + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
	return p
}

// get makes a request to the API and decodes its data.
func (p *prometheus) get(path string, query url.Values, data any) error {
	r, err := p.http.Get(p.api + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s?%s: %w %s", path, query.Encode(), err, text)
	}
	return nil
}

// mustAsk returns the values of a query's result.
func (p *prometheus) mustAsk(query string) (values []float64) {
	p.t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get("/api/v1/query", url.Values{"query": {query}}, &data); err != nil {
		p.t.Fatal(err)
	}
	for _, r := range data.Result {
		var v float64
		if _, err := fmt.Sscan(fmt.Sprint(r.Value[1]), &v); err != nil {
			p.t.Fatalf("%s: %v", query, err)
		}
		values = append(values, v)
	}
	return values
}

// agree reports whether a query has the same value for every job.
func (p *prometheus) agree(query string, want int64) bool {
	p.t.Helper()
	values := p.mustAsk(query)
	for _, v := range values {
		if v != float64(want) {
			return false
		}
	}
	return len(values) == scrapers
}

// samples returns the number of scrapes so far.
func (p *prometheus) samples() int {
	p.t.Helper()
	values := p.mustAsk("sum(count_over_time(up[10m]))")
	if len(values) == 0 {
		return 0
	}
	return int(values[0])
}

// names returns the names of all scraped metrics.
func (p *prometheus) names() (names []string) {
	p.t.Helper()
	if err := p.get("/api/v1/label/__name__/values", nil, &names); err != nil {
		p.t.Fatal(err)
	}
	return names
}

// noResets checks that no counter has ever gone down.
func (p *prometheus) noResets() {
	p.t.Helper()
	looked := 0
	for _, name := range p.names() {
		if !strings.HasPrefix(name, "phalanx_") || !harness.Cumulative(name) {
			continue
		}
		looked++
		if got := p.mustAsk("max(resets(" + name + "[10m]))"); len(got) != 1 || got[0] != 0 {
			p.t.Errorf("resets of %s: %v, want 0", name, got)
		}
	}
	if looked < 15 {
		p.t.Errorf("%d counters among %q, want at least 15", looked, p.names())
	}
}
