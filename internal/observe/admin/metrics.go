package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"phalanx/internal/observe/status"
)

// metrics describes the metrics for Prometheus. Names follow
// https://prometheus.io/docs/practices/naming/. Nothing is kept between two
// scrapes: each takes its own snapshot.
type metrics struct {
	counters []counter
	gauges   []gauge

	requests, duration, connections         *prometheus.Desc
	queue, queueMax, memory, workers, build *prometheus.Desc

	bounds []time.Duration
	master *prometheus.Registry // of the master's own process
}

// masterName is the prefix of metrics of the master's own process.
const masterName = "phalanx_master"

// ownProcess drops what the kernel counts for the whole machine (network), what
// never changes, and what is of no use.
func (m *metrics) ownProcess() ([]*dto.MetricFamily, error) {
	all, err := m.master.Gather()
	return slices.DeleteFunc(all, func(f *dto.MetricFamily) bool {
		switch strings.TrimPrefix(f.GetName(), masterName+"_process_") {
		case "cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds":
			return false
		}
		return true
	}), err
}

// counter is a counter of each slot.
type counter struct {
	desc  *prometheus.Desc
	value func(*status.Slot) float64
}

// gauge is a gauge or counter of the whole pool.
type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*status.Pool) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("phalanx_"+name, help, labels, nil)
}

func newMetrics() *metrics {
	m := &metrics{
		counters:    slotCounters(),
		gauges:      poolGauges(),
		requests:    describe("http_requests_total", "Requests by class of status code, counted when the response begins.", "slot", "code"),
		duration:    describe("http_request_duration_seconds", "Time from the first byte of a request to the last byte of its response, truncated responses excluded.", "slot"),
		connections: describe("connections", "Client connections by state: idle without a request under way, else active.", "slot", "state"),
		queue:       describe("accept_queue_length", "Connections waiting in the accept queue.", "slot"),
		queueMax:    describe("accept_queue_limit", "Limit of the accept queue.", "slot"),
		memory:      describe("worker_resident_memory_bytes", "Resident memory of the slot's workers, draining ones included.", "slot"),
		workers:     describe("workers", "Workers by state; in backoff and quarantined there is no process.", "state"),
		build:       describe("build_info", "Constant 1, labelled with the running version.", "version"),
		bounds:      bounds(),
		master:      prometheus.NewRegistry(),
	}
	// process_* without a prefix would be taken for the whole pool.
	m.master.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: masterName}))
	return m
}

func slotCounters() []counter {
	slot := func(name, help string, value func(*status.Slot) float64) counter {
		return counter{describe(name, help, "slot"), value}
	}
	return []counter{
		slot("http_sent_bytes_total", "Bytes sent to clients, response headers included.", func(s *status.Slot) float64 { return float64(s.Bytes) }),
		slot("http_responses_truncated_total", "Responses truncated before their last byte.", func(s *status.Slot) float64 { return float64(s.Truncated) }),
		slot("connections_accepted_total", "Connections accepted.", func(s *status.Slot) float64 { return float64(s.Accepted) }),
		slot("connections_taken_over_total", "Connections taken over from other workers.", func(s *status.Slot) float64 { return float64(s.TakenOver) }),
		slot("connections_timed_out_total", "Connections closed because the client timed out.", func(s *status.Slot) float64 { return float64(s.TimedOut) }),
		slot("connections_dropped_total", "Connections closed for lack of descriptors or memory.", func(s *status.Slot) float64 { return float64(s.Dropped) }),
		slot("worker_starts_total", "Worker processes started.", func(s *status.Slot) float64 { return float64(s.Generations) }),
		slot("worker_deaths_total", "Workers that exited unexpectedly.", func(s *status.Slot) float64 { return float64(s.Deaths) }),
		slot("worker_cpu_seconds_total", "CPU time of workers, user and system.", func(s *status.Slot) float64 { return s.CPUSeconds }),
	}
}

func poolGauges() []gauge {
	return []gauge{
		{describe("slots", "Configured number of workers."), prometheus.GaugeValue, func(p *status.Pool) float64 { return float64(p.Slots) }},
		{describe("ready", "Readiness of the pool: 1 while serving; 0 while starting, in lame duck or draining."), prometheus.GaugeValue, ready},
		{describe("start_time_seconds", "Start time of the master since the Unix epoch."), prometheus.GaugeValue, func(p *status.Pool) float64 { return float64(p.Started.UnixMilli()) / 1000 }},
		{describe("access_log_lost_lines_total", "Access log lines lost because they could not be written."), prometheus.CounterValue, func(p *status.Pool) float64 { return float64(p.Total.LogLost) }},
		{describe("reloads_total", "Reloads started."), prometheus.CounterValue, func(p *status.Pool) float64 { return float64(p.Reloads) }},
	}
}

func ready(p *status.Pool) float64 {
	if p.Ready {
		return 1
	}
	return 0
}

// bounds returns the bounds of the buckets, 10 µs to 100 s; each is also a bound of
// package histogram.
func bounds() (all []time.Duration) {
	for unit := 10 * time.Microsecond; unit < 100*time.Second; unit *= 10 {
		all = append(all, unit, unit*5/2, unit*5)
	}
	return append(all, 100*time.Second)
}

// scrape sends all metrics or an error: missing ones would look like a drop.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request) {
	pool, ok := s.look(w)
	if !ok {
		return
	}
	look := prometheus.NewRegistry()
	if err := look.Register(snapshot{s.metrics, &pool}); err != nil {
		s.broken(w, r, err)
		return
	}
	promhttp.HandlerFor(prometheus.Gatherers{look, prometheus.GathererFunc(s.metrics.ownProcess)}, promhttp.HandlerOpts{
		ErrorLog:      errorLog(s.log),
		ErrorHandling: promhttp.HTTPErrorOnError,
	}).ServeHTTP(w, r)
}

// errorLog is the log of promhttp, whose errors have several lines.
type errorLog func(line string)

// Println logs an error as one line of at most 500 bytes.
func (f errorLog) Println(v ...any) {
	const most = 500
	text := strings.Join(strings.Fields(fmt.Sprintln(v...)), " ")
	f("admin endpoint: " + text[:min(len(text), most)])
}

// snapshot is a [prometheus.Collector] for one scrape.
type snapshot struct {
	*metrics
	pool *status.Pool
}

// Describe implements [prometheus.Collector].
func (s snapshot) Describe(to chan<- *prometheus.Desc) {
	for _, c := range s.counters {
		to <- c.desc
	}
	for _, g := range s.gauges {
		to <- g.desc
	}
	for _, d := range []*prometheus.Desc{s.requests, s.duration, s.connections, s.queue, s.queueMax, s.memory, s.workers, s.build} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. It runs in a goroutine of the
// registry, where a panic would end the master or, in later versions, send a
// stack trace to the client.
func (s snapshot) Collect(to chan<- prometheus.Metric) {
	defer func() {
		if p := recover(); p != nil {
			to <- prometheus.NewInvalidMetric(s.build, fmt.Errorf("panic: %v", p))
		}
	}()
	for i := range s.pool.PerSlot {
		s.slot(to, &s.pool.PerSlot[i])
	}
	s.processes(to)
	for _, g := range s.gauges {
		put(to, g.desc, g.kind, g.value(s.pool))
	}
	put(to, s.build, prometheus.GaugeValue, 1, strings.ToValidUTF8(s.pool.Version, "\uFFFD"))
}

func (s snapshot) slot(to chan<- prometheus.Metric, slot *status.Slot) {
	name := strconv.Itoa(slot.Slot)
	for _, c := range s.counters {
		put(to, c.desc, prometheus.CounterValue, c.value(slot), name)
	}
	for _, code := range []string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		put(to, s.requests, prometheus.CounterValue, float64(slot.Requests[code]), name, code)
	}
	put(to, s.connections, prometheus.GaugeValue, float64(max(slot.Active-slot.Idle, 0)), name, "active")
	put(to, s.connections, prometheus.GaugeValue, float64(slot.Idle), name, "idle")
	buckets := make(map[float64]uint64, len(s.bounds))
	for _, bound := range s.bounds {
		buckets[bound.Seconds()] = slot.Latency.Below(bound)
	}
	m, err := prometheus.NewConstHistogram(s.duration, slot.Latency.Total(), slot.LatencySeconds, buckets, name)
	deliver(to, s.duration, m, err)
}

// processes collects the metrics of the current workers. The workers of a slot
// share its accept queue, so only the first one's is counted; memory is summed.
func (s snapshot) processes(to chan<- prometheus.Metric) {
	states := map[string]int{}
	memory := map[int]int64{}
	queues := map[int]bool{}
	for _, w := range s.pool.Workers {
		states[w.State]++
		memory[w.Slot] += w.Memory
		if !queues[w.Slot] {
			queues[w.Slot] = true
			put(to, s.queue, prometheus.GaugeValue, float64(w.Queue), strconv.Itoa(w.Slot))
			put(to, s.queueMax, prometheus.GaugeValue, float64(w.QueueMax), strconv.Itoa(w.Slot))
		}
	}
	for slot, bytes := range memory {
		put(to, s.memory, prometheus.GaugeValue, float64(bytes), strconv.Itoa(slot))
	}
	for _, state := range []string{status.WorkerStarting, status.WorkerServing, status.WorkerDraining, status.WorkerBackoff, status.WorkerQuarantined} {
		put(to, s.workers, prometheus.GaugeValue, float64(states[state]), state)
	}
}

func put(to chan<- prometheus.Metric, desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	deliver(to, desc, m, err)
}

// deliver makes the whole scrape fail on an error.
func deliver(to chan<- prometheus.Metric, desc *prometheus.Desc, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	to <- m
}
