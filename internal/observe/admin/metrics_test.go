package admin

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"phalanx/internal/observe/histogram"
	"phalanx/internal/observe/status"
)

var update = flag.Bool("update", false, "write testdata anew")

// What the metrics look like; those of the master's own process change.
func TestMetrics(t *testing.T) {
	s := start(t, short)
	var kept []string
	for line := range strings.Lines(get(t, client(s.unix), "GET", "/metrics", 200)) {
		if !strings.Contains(line, masterName) {
			kept = append(kept, line)
		}
	}
	got, golden := strings.Join(kept, ""), filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s does not have this (-update writes it):\n%s", golden, got)
	}
}

// The official linter, which promtool is made of, has nothing to say.
func TestMetricsAreWellNamed(t *testing.T) {
	s := start(t, short)
	text := get(t, client(s.tcp), "GET", "/metrics", 200)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, name := range []string{"cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"} {
		if !strings.Contains(text, "\nphalanx_master_process_"+name+" ") {
			t.Errorf("%s of the master is missing", name)
		}
	}
	if strings.Contains(text, "\nprocess_") || strings.Contains(text, "network") {
		t.Error("there is something that would be taken for the pool")
	}
}

// samples are the values of a scrape that must never go back.
func samples(t *testing.T, s *running) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(get(t, client(s.unix), "GET", "/metrics", 200)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || line[0] == '#' {
			continue
		}
		metric, _, _ := strings.Cut(name, "{")
		for _, end := range []string{"_total", "_bucket", "_sum", "_count"} {
			if strings.HasSuffix(metric, end) {
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				all[name] = n
			}
		}
	}
	return all
}

// Whatever becomes of the workers, no counter goes back or is missing.
func TestCountersNeverGoBack(t *testing.T) {
	s := start(t, short)
	before := samples(t, s)
	if len(before) < 100 {
		t.Fatalf("only %d counters", len(before))
	}
	deaths := []func(*status.Pool){
		func(p *status.Pool) { // a worker dies, its slot waits
			p.Workers[0] = status.Worker{Slot: 0, State: status.WorkerBackoff}
			p.PerSlot[0].Deaths++
		},
		func(p *status.Pool) { // the next one has served little
			p.Workers[0] = status.Worker{Slot: 0, PID: 5000, State: status.WorkerServing, Figures: status.Figures{Answered: 1, Requests: map[string]uint64{"2xx": 1}}}
			p.PerSlot[0].Generations++
			p.PerSlot[0].Answered++
			p.PerSlot[0].Latency[5]++
		},
		func(p *status.Pool) { // the pool is scaled down
			p.Workers, p.Slots = p.Workers[:1], 1
		},
		func(p *status.Pool) { p.Workers = nil },
	}
	for i, death := range deaths {
		s.pool.set(func(f *fakePool) { death(&f.pool) })
		after := samples(t, s)
		for name, value := range before {
			if now, ok := after[name]; !ok || now < value {
				t.Errorf("change %d: %s was %v and is %v, there: %v", i, name, value, now, ok)
			}
		}
		before = after
	}
}

// The buckets' bounds are exact, and their counts agree with the histogram's.
func TestBuckets(t *testing.T) {
	var exact []time.Duration
	for i := range histogram.Buckets {
		exact = append(exact, histogram.Lower(i))
	}
	for _, bound := range bounds() {
		if !slices.Contains(exact, bound) {
			t.Errorf("%v is no bound of the histogram", bound)
		}
	}
	if first, last := bounds()[0], bounds()[len(bounds())-1]; first != 10*time.Microsecond || last != 100*time.Second || len(bounds()) != 22 {
		t.Errorf("from %v to %v: %v", first, last, bounds())
	}
	s := start(t, short)
	var counts histogram.Counts
	for _, d := range []time.Duration{50 * time.Microsecond, 100 * time.Microsecond, 240 * time.Microsecond, 3 * time.Second, 200 * time.Second} {
		counts[histogram.Index(d)]++
	}
	s.pool.pool.PerSlot = []status.Slot{{Figures: status.Figures{Latency: counts, LatencySeconds: 203.00039}}}
	got := samples(t, s)
	for name, want := range map[string]float64{
		`bucket{slot="0",le="0.0001"`: 1, `bucket{slot="0",le="0.00025"`: 3, `bucket{slot="0",le="2.5"`: 3, `bucket{slot="0",le="5"`: 4,
		`bucket{slot="0",le="100"`: 4, `bucket{slot="0",le="+Inf"`: 5, `count{slot="0"`: 5, `sum{slot="0"`: 203.00039,
	} {
		if value, ok := got["phalanx_http_request_duration_seconds_"+name]; !ok || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
}

func TestMetricsAreCompressed(t *testing.T) {
	s := start(t, short)
	reply, body := do(t, client(s.tcp), "GET", "/metrics", "Accept-Encoding", "gzip")
	if reply.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v", reply.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Contains(text, []byte("\nphalanx_ready 1\n")) {
		t.Errorf("%v, %d bytes", err, len(text))
	}
}

// What cannot be shown is shown not at all, and ends nothing: the registry
// collects in goroutines of its own.
func TestMetricsThatCannotBe(t *testing.T) {
	s := start(t, short)
	s.pool.pool.PerSlot = append(s.pool.pool.PerSlot, s.pool.pool.PerSlot[0]) // a slot twice
	if body := get(t, client(s.tcp), "GET", "/metrics", 500); strings.Contains(body, "phalanx_slots ") {
		t.Errorf("half of it is shown: %.200q", body)
	}
	s.pool.pool = status.Pool{Version: "\xff"}
	if body := get(t, client(s.tcp), "GET", "/metrics", 200); !strings.Contains(body, "phalanx_build_info{version=\"\uFFFD\"} 1\n") {
		t.Errorf("%q", body)
	}
	s.metrics.gauges[0].value = func(*status.Pool) float64 { panic("out of order") }
	if body := get(t, client(s.tcp), "GET", "/metrics", 500); !strings.Contains(body, "panic: out of order") || strings.Contains(body, "goroutine") {
		t.Errorf("%q", body)
	}
	if lines := s.lines(); len(lines) != 2 || !strings.Contains(lines[1], "panic: out of order") || len(lines[1]) > 600 {
		t.Errorf("logged: %q", lines)
	}
}
