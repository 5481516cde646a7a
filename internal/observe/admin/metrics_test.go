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

	"phalanx/internal/observe/histogram"
	"phalanx/internal/observe/status"
)

var update = flag.Bool("update", false, "rewrite testdata")

// The metrics equal the recorded ones. Those of the master's own process vary.
func TestMetrics(t *testing.T) {
	s := start(t, ample)
	var kept []string
	for line := range strings.Lines(get(t, client(s.unix), "GET", "/metrics", 200)) {
		if !strings.Contains(line, "phalanx_master_") {
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
		t.Errorf("the metrics differ from %s (-update writes it):\n%s", golden, got)
	}
}

// The metrics of the master's own process are separate from the pool's, and left out if they
// are unknown.
func TestMasterMetrics(t *testing.T) {
	s := start(t, ample)
	text := get(t, client(s.tcp), "GET", "/metrics", 200)
	for name, least := range map[string]float64{"cpu_seconds_total": 0.001, "resident_memory_bytes": 1 << 20, "open_fds": 4, "max_fds": 64} {
		_, rest, _ := strings.Cut(text, "\nphalanx_master_process_"+name+" ")
		line, _, _ := strings.Cut(rest, "\n")
		if value, err := strconv.ParseFloat(line, 64); err != nil || value < least {
			t.Errorf("%s of the master is %q, want at least %v", name, line, least)
		}
	}
	if strings.Contains(text, "\nprocess_") {
		t.Error("a metric of the master could be taken for one of the pool")
	}
	bare, err := expose(masterMetrics(t.TempDir()), &status.Pool{})
	if err != nil || !strings.Contains(string(bare), "_cpu_seconds_total ") || strings.Contains(string(bare), "memory") || strings.Contains(string(bare), "open_fds") {
		t.Errorf("without /proc: %v\n%s", err, bare)
	}
}

// samples returns the values of a scrape that must never decrease.
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

// Whatever happens to the workers, no counter decreases or is missing.
func TestCountersNeverGoBack(t *testing.T) {
	s := start(t, ample)
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

// The bounds of the buckets are exact, and their counts equal the histogram's.
func TestBuckets(t *testing.T) {
	var exact []time.Duration
	for i := range histogram.Buckets {
		exact = append(exact, histogram.Lower(i))
	}
	for _, bound := range bounds() {
		if !slices.Contains(exact, bound) {
			t.Errorf("%v is not a bound of the histogram", bound)
		}
	}
	if first, last := bounds()[0], bounds()[len(bounds())-1]; first != 10*time.Microsecond || last != 100*time.Second || len(bounds()) != 22 {
		t.Errorf("from %v to %v: %v", first, last, bounds())
	}
	s := start(t, ample)
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
	s := start(t, ample)
	for accepted, coding := range map[string]string{"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "identity": "", "x-gzip2": ""} {
		reply, body := do(t, client(s.tcp), "GET", "/metrics", "Accept-Encoding", accepted)
		if got := reply.Header.Get("Content-Encoding"); got != coding || reply.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accepted, reply.Header)
			continue
		}
		var text io.Reader = strings.NewReader(body)
		if coding == "gzip" {
			z, err := gzip.NewReader(text)
			if err != nil {
				t.Fatal(err)
			}
			text = z
		}
		if plain, err := io.ReadAll(text); err != nil || !bytes.Contains(plain, []byte("\nphalanx_ready 1\n")) {
			t.Errorf("%q: %v, %d bytes", accepted, err, len(plain))
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	text, err := expose(metrics(), &status.Pool{Version: "a\\b\"c\nd\xff"})
	if want := `phalanx_build_info{version="a\\b\"c\nd` + "\uFFFD\"} 1\n"; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v, want %s in\n%s", err, want, text)
	}
}

// Metrics that cannot be formatted are left out completely, without a panic.
func TestMetricsThatCannotBe(t *testing.T) {
	s := start(t, ample)
	s.pool.pool.PerSlot = append(s.pool.pool.PerSlot, s.pool.pool.PerSlot[0]) // a slot twice
	if body := get(t, client(s.tcp), "GET", "/metrics", 500); strings.Contains(body, "phalanx_slots ") {
		t.Errorf("a part is shown: %.200q", body)
	}
	s.pool.pool = status.Pool{}
	s.metrics[0].samples = func(*exposition, *status.Pool) { panic("out of order") }
	if body := get(t, client(s.tcp), "GET", "/metrics", 500); strings.Contains(body, "phalanx_") || strings.Contains(body, "goroutine") {
		t.Errorf("%q", body)
	}
	lines := s.lines()
	if len(lines) != 2 || !strings.Contains(lines[0], "has two values") || !strings.Contains(lines[1], "panic: out of order") {
		t.Errorf("logged: %q", lines)
	}
}
