package admin

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/internal/observe/status"
)

// metric is a metric for Prometheus. Names follow
// https://prometheus.io/docs/practices/naming/, after "phalanx_".
type metric struct {
	name, kind, help string
	samples          func(x *exposition, p *status.Pool) // adds the samples of one snapshot
}

// The kinds of metrics, besides histograms.
const (
	counter = "counter"
	gauge   = "gauge"
)

// metrics returns all metrics, sorted by name. Nothing is kept between two scrapes:
// each takes its own snapshot.
func metrics() []metric {
	all := slices.Concat(slotCounters(), slotMetrics(), workerMetrics(), tlsMetrics(), http2Metrics(), siteMetrics(), poolMetrics(), rescueMetrics(), helperMetrics(), certificateMetrics(), acmeMetrics(), masterMetrics("/proc"))
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all
}

// eachSlot adds the samples of each slot; label is the slot's number.
func eachSlot(add func(x *exposition, s *status.Slot, label string)) func(*exposition, *status.Pool) {
	return func(x *exposition, p *status.Pool) {
		for i := range p.PerSlot {
			add(x, &p.PerSlot[i], strconv.Itoa(p.PerSlot[i].Slot))
		}
	}
}

func slotCounters() []metric {
	slot := func(name, help string, value func(*status.Slot) float64) metric {
		return metric{name, counter, help, eachSlot(func(x *exposition, s *status.Slot, label string) { x.add(value(s), "slot", label) })}
	}
	return []metric{
		slot("http_sent_bytes_total", "Bytes sent to clients, response headers included.", func(s *status.Slot) float64 { return float64(s.Bytes) }),
		slot("http_responses_truncated_total", "Responses truncated before their last byte.", func(s *status.Slot) float64 { return float64(s.Truncated) }),
		slot("connections_accepted_total", "Connections accepted.", func(s *status.Slot) float64 { return float64(s.Accepted) }),
		slot("connections_taken_over_total", "Connections taken over from other workers.", func(s *status.Slot) float64 { return float64(s.TakenOver) }),
		slot("connections_timed_out_total", "Connections closed because the client timed out.", func(s *status.Slot) float64 { return float64(s.TimedOut) }),
		slot("connections_dropped_total", "Connections closed for lack of descriptors or memory.", func(s *status.Slot) float64 { return float64(s.Dropped) }),
		slot("releases_total", "Releases put into service by running workers, after the link of a document root changed.", func(s *status.Slot) float64 { return float64(s.Releases) }),
		slot("worker_starts_total", "Worker processes started.", func(s *status.Slot) float64 { return float64(s.Generations) }),
		slot("worker_deaths_total", "Workers that exited unexpectedly.", func(s *status.Slot) float64 { return float64(s.Deaths) }),
		slot("worker_cpu_seconds_total", "CPU time of workers, user and system.", func(s *status.Slot) float64 { return s.CPUSeconds }),
	}
}

func slotMetrics() []metric {
	return []metric{
		{"http_requests_total", counter, "Requests by class of status code, counted when the response begins.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			for _, code := range status.Classes {
				x.add(float64(s.Requests[code]), "code", code, "slot", label)
			}
		})},
		{"connections_limited_total", counter, "Connections closed because of a limit: of all connections (idle, head), of one client (client), or the minimum rate (rate).", eachSlot(func(x *exposition, s *status.Slot, label string) { x.addEach(s.Limited, "reason", label) })},
		{"http_requests_denied_total", counter, "Requests of clients that --allow or --deny refuses.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			x.add(float64(s.Denied), "slot", label)
		})},
		{"proxy_headers_refused_total", counter, "Connections closed because their PROXY header was refused, by reason.", eachSlot(func(x *exposition, s *status.Slot, label string) { x.addEach(s.Unproxied, "reason", label) })},
		{"credentials_checked_total", counter, "Credentials for protected paths: right (by hash, or remembered), wrong, or not checked (limited after too many wrong ones, or busy with others).", eachSlot(func(x *exposition, s *status.Slot, label string) { x.addEach(s.Credentials, "result", label) })},
		{"http_version_requests_total", counter, "Requests by version of HTTP, counted when the response begins.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			for _, version := range []string{"1.0", "1.1", "2"} {
				x.add(float64(s.Versions[version]), "slot", label, "version", version)
			}
		})},
		{"http_request_duration_seconds", "histogram", "Time from the first byte of a request to the last byte of its response, truncated responses excluded.", eachSlot(addDurations)},
		{"connections", gauge, "Client connections by state: idle without a request under way, else active.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			x.add(float64(max(s.Active-s.Idle, 0)), "slot", label, "state", "active")
			x.add(float64(s.Idle), "slot", label, "state", "idle")
		})},
	}
}

// addEach appends a sample of a slot for each counter, with the counter's name as the value of a label.
func (x *exposition) addEach(counters map[string]uint64, label, slot string) {
	for _, value := range slices.Sorted(maps.Keys(counters)) {
		x.add(float64(counters[value]), label, value, "slot", slot)
	}
}

func addDurations(x *exposition, s *status.Slot, label string) {
	for _, bound := range bounds() {
		x.addTo("_bucket", float64(s.Latency.Below(bound)), "slot", label, "le", strconv.FormatFloat(bound.Seconds(), 'g', -1, 64))
	}
	total := float64(s.Latency.Total())
	x.addTo("_bucket", total, "slot", label, "le", "+Inf")
	x.addTo("_sum", s.LatencySeconds, "slot", label)
	x.addTo("_count", total, "slot", label)
}

// bounds returns the bounds of the buckets, 10 µs to 100 s; each is also a bound of
// package histogram.
func bounds() (all []time.Duration) {
	for unit := 10 * time.Microsecond; unit < 100*time.Second; unit *= 10 {
		all = append(all, unit, unit*5/2, unit*5)
	}
	return append(all, 100*time.Second)
}

// workerMetrics returns the metrics of the current workers. The workers of a slot share
// its accept queue, which is counted once; memory is summed.
func workerMetrics() []metric {
	queue := func(name, help string, value func(*status.Worker) int) metric {
		return metric{name, gauge, help, func(x *exposition, p *status.Pool) {
			seen := map[int]bool{}
			for i := range p.Workers {
				if w := &p.Workers[i]; !seen[w.Slot] {
					seen[w.Slot] = true
					x.add(float64(value(w)), "slot", strconv.Itoa(w.Slot))
				}
			}
		}}
	}
	return []metric{
		queue("accept_queue_length", "Connections waiting in the fullest accept queue; each address has one.", func(w *status.Worker) int { return w.Queue }),
		queue("accept_queue_limit", "Limit of the fullest accept queue.", func(w *status.Worker) int { return w.QueueMax }),
		{"worker_resident_memory_bytes", gauge, "Resident memory of the slot's workers, draining ones included.", func(x *exposition, p *status.Pool) {
			memory := map[int]int64{}
			for i := range p.Workers {
				memory[p.Workers[i].Slot] += p.Workers[i].Memory
			}
			for _, slot := range slices.Sorted(maps.Keys(memory)) {
				x.add(float64(memory[slot]), "slot", strconv.Itoa(slot))
			}
		}},
		{"workers", gauge, "Workers by state; killed ones have not exited yet; those in backoff and quarantined have no process.", func(x *exposition, p *status.Pool) {
			for _, state := range []string{status.WorkerStarting, status.WorkerServing, status.WorkerDraining, status.WorkerKilled, status.WorkerBackoff, status.WorkerQuarantined} {
				x.add(float64(p.Count(func(w *status.Worker) bool { return w.State == state })), "state", state)
			}
		}},
		{"workers_stale", gauge, "Workers that serve an earlier release because the new one cannot be served.", func(x *exposition, p *status.Pool) {
			x.add(float64(p.Count(func(w *status.Worker) bool { return w.Stale > 0 })))
		}},
	}
}

// siteMetrics returns the metrics of sites, which have samples if there are several. The
// label is the first host of a site in the options.
func siteMetrics() []metric {
	return []metric{
		{"site_requests_total", counter, "Requests by site and class of status code; * is all other hosts.", func(x *exposition, p *status.Pool) {
			for i := range p.Sites {
				for _, code := range status.Classes {
					x.add(float64(p.Sites[i].Requests[code]), "code", code, "site", p.Sites[i].Name)
				}
			}
		}},
		{"site_sent_bytes_total", counter, "Bytes of content sent by site, counted when a response ends.", func(x *exposition, p *status.Pool) {
			for i := range p.Sites {
				x.add(float64(p.Sites[i].Bytes), "site", p.Sites[i].Name)
			}
		}},
	}
}

// http2Metrics returns the metrics of HTTP/2, which have samples once a client has used it.
func http2Metrics() []metric {
	return []metric{
		{"http2_streams", gauge, "Requests open on HTTP/2 connections.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			if s.HTTP2 != nil {
				x.add(float64(s.HTTP2.Streams), "slot", label)
			}
		})},
		{"http2_connections_ended_total", counter, "HTTP/2 connections closed for abuse or protocol errors, by reason.", eachSlot(func(x *exposition, s *status.Slot, label string) {
			if s.HTTP2 != nil {
				x.addEach(s.HTTP2.Ended, "reason", label)
			}
		})},
	}
}

// tlsMetrics returns the metrics of TLS, which have samples once a client has tried a
// handshake.
func tlsMetrics() []metric {
	slot := func(name, help string, add func(x *exposition, s *status.TLS, label string)) metric {
		return metric{name, counter, help, eachSlot(func(x *exposition, s *status.Slot, label string) {
			if s.TLS != nil {
				add(x, s.TLS, label)
			}
		})}
	}
	return []metric{
		slot("tls_handshakes_total", "TLS handshakes completed, by version.", func(x *exposition, s *status.TLS, label string) {
			for _, version := range []string{"1.2", "1.3"} {
				x.add(float64(s.Handshakes[version]), "slot", label, "version", version)
			}
		}),
		slot("tls_sessions_resumed_total", "TLS handshakes completed with an earlier session.", func(x *exposition, s *status.TLS, label string) {
			x.add(float64(s.Resumed), "slot", label)
		}),
		slot("tls_failures_total", "Failed TLS handshakes, and TLS connections that failed later, by reason.", func(x *exposition, s *status.TLS, label string) {
			x.addEach(s.Failed, "reason", label)
		}),
	}
}

func poolMetrics() []metric {
	pool := func(name, kind, help string, value func(*status.Pool) float64) metric {
		return metric{name, kind, help, func(x *exposition, p *status.Pool) { x.add(value(p)) }}
	}
	return []metric{
		pool("slots", gauge, "Configured number of workers.", func(p *status.Pool) float64 { return float64(p.Slots) }),
		pool("ready", gauge, "Readiness of the pool: 1 while serving; 0 while starting, in lame duck or draining.", func(p *status.Pool) float64 { return truth(p.Ready) }),
		pool("start_time_seconds", gauge, "Start time of the master since the Unix epoch.", func(p *status.Pool) float64 { return float64(p.Started.UnixMilli()) / 1000 }),
		pool("access_log_lost_lines_total", counter, "Access log lines lost because they could not be written.", func(p *status.Pool) float64 { return float64(p.Total.LogLost) }),
		pool("reloads_total", counter, "Reloads started.", func(p *status.Pool) float64 { return float64(p.Reloads) }),
		pool("reload_failed", gauge, "Failure of the last reload: 1 if it failed, else 0.", func(p *status.Pool) float64 { return truth(p.Failed != "") }),
		{"build_info", gauge, "Constant 1, labelled with the running version.", func(x *exposition, p *status.Pool) { x.add(1, "version", p.Version) }},
	}
}

// rescueMetrics returns the metrics of dead workers' connections.
func rescueMetrics() []metric {
	rescue := func(name, help string, value func(*status.Rescue) float64) metric {
		return metric{name, counter, help, func(x *exposition, p *status.Pool) { x.add(value(&p.Rescue)) }}
	}
	return []metric{
		rescue("rescues_total", "Dead workers whose connections were rescued.", func(r *status.Rescue) float64 { return float64(r.Workers) }),
		rescue("rescues_failed_total", "Dead workers none of whose connections could be rescued.", func(r *status.Rescue) float64 { return float64(r.GivenUp) }),
		rescue("rescue_seconds_total", "Time from the deaths of workers to the rescue of their connections.", func(r *status.Rescue) float64 { return r.Seconds }),
		rescue("connections_rescued_total", "Connections of dead workers rescued.", func(r *status.Rescue) float64 { return float64(r.Connections) }),
		rescue("rescued_bytes_total", "Bytes still to be sent on rescued connections.", func(r *status.Rescue) float64 { return float64(r.Bytes) }),
		{"connections_not_rescued_total", counter, "Connections of dead workers closed, by reason.", func(x *exposition, p *status.Pool) {
			x.add(float64(p.Rescue.Blamed), "reason", "blamed")
			x.add(float64(p.Rescue.Lost), "reason", "lost")
			x.add(float64(p.Rescue.Reset), "reason", "reset")
			x.add(float64(p.Rescue.Unmovable), "reason", "unmovable")
		}},
		{"keepers", gauge, "Workers that have a keeper.", func(x *exposition, p *status.Pool) {
			x.add(float64(p.Count(func(w *status.Worker) bool { return w.Keeper != 0 })))
		}},
	}
}

// certificateMetrics returns the metrics of certificates, with the first name of each as
// label. Of two with the same name and kind of key, the first to expire has the sample.
func certificateMetrics() []metric {
	return []metric{{"tls_certificate_not_after_seconds", gauge, "Expiry of a certificate since the Unix epoch, by its first name and kind of key.", func(x *exposition, p *status.Pool) {
		seen := map[[2]string]bool{}
		for i := range p.Certificates {
			c := &p.Certificates[i]
			if key := [2]string{c.Name(), c.Key}; !seen[key] {
				seen[key] = true
				x.add(float64(c.NotAfter.Unix()), "key", c.Key, "name", c.Name())
			}
		}
	}}}
}

func acmeMetrics() []metric {
	host := func(name, help string, value func(*status.Host) float64) metric {
		return metric{name, gauge, help, func(x *exposition, p *status.Pool) {
			if p.ACME == nil {
				return
			}
			for i := range p.ACME.Hosts {
				x.add(value(&p.ACME.Hosts[i]), "host", p.ACME.Hosts[i].Name)
			}
		}}
	}
	return []metric{
		{"acme_attempts_total", counter, "Attempts to obtain a certificate by ACME, by outcome.", func(x *exposition, p *status.Pool) {
			if p.ACME != nil {
				x.add(float64(p.ACME.Issued), "outcome", "issued")
				x.add(float64(p.ACME.Refused), "outcome", "refused")
				x.add(float64(p.ACME.Unreachable), "outcome", "unreachable")
			}
		}},
		host("acme_certified", "Whether a host has a certificate by ACME that has not expired: 1 if it has, else 0.", func(h *status.Host) float64 { return truth(h.Certified) }),
		host("acme_failures", "Failed attempts in a row to obtain a host's certificate by ACME.", func(h *status.Host) float64 { return float64(h.Failures) }),
		host("acme_next_attempt_seconds", "Time of the next attempt to obtain or renew a host's certificate since the Unix epoch.", func(h *status.Host) float64 { return float64(h.Next.Unix()) }),
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// masterMetrics returns the metrics of the master process. They are not named process_*,
// which would be taken for the whole pool. Values that cannot be read, because /proc is
// not mounted, have no sample.
func masterMetrics(proc string) []metric {
	own := func(name, kind, help string, value func() (float64, error)) metric {
		return metric{"master_process_" + name, kind, help, func(x *exposition, _ *status.Pool) {
			if v, err := value(); err == nil {
				x.add(v)
			}
		}}
	}
	return []metric{
		own("cpu_seconds_total", counter, "CPU time of the master, user and system.", func() (float64, error) {
			var u unix.Rusage
			err := unix.Getrusage(unix.RUSAGE_SELF, &u)
			return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(), err
		}),
		own("resident_memory_bytes", gauge, "Resident memory of the master.", func() (float64, error) {
			text, err := os.ReadFile(proc + "/self/statm")
			var size, resident int
			if err == nil {
				_, err = fmt.Sscan(string(text), &size, &resident) // in pages: proc(5)
			}
			return float64(resident * os.Getpagesize()), err
		}),
		own("open_fds", gauge, "Open file descriptors of the master.", func() (float64, error) {
			all, err := os.ReadDir(proc + "/self/fd")
			return float64(len(all) - 1), err // without the directory's own
		}),
		own("max_fds", gauge, "Limit of open file descriptors of the master.", func() (float64, error) {
			var limit unix.Rlimit
			err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
			return float64(limit.Cur), err
		}),
	}
}

// scrape sends all metrics or an error.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request) {
	pool, ok := s.look(w)
	if !ok {
		return
	}
	text, err := expose(s.metrics, &pool)
	small := acceptsGzip(r.Header.Values("Accept-Encoding"))
	if err == nil && small {
		text, err = compress(text)
	}
	if err != nil {
		s.internalError(w, r, err)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if small {
		w.Header().Set("Content-Encoding", "gzip")
	}
	send(w, http.StatusOK, expositionType, text)
}

func compress(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
}
