package admin

import "phalanx/internal/observe/status"

// helperMetrics returns the metrics of the helper. They have no samples if the options
// give a helper nothing to do.
func helperMetrics() []metric {
	of := func(name string, kind string, help string, value func(*status.Helper) float64) metric {
		return metric{name, kind, help, func(x *exposition, p *status.Pool) {
			if p.Helper != nil {
				x.add(value(p.Helper))
			}
		}}
	}
	return []metric{
		of("helper_running", gauge, "Helper processes, 0 or 1.", func(h *status.Helper) float64 { return float64(min(h.PID, 1)) }),
		of("helper_deaths_total", counter, "Unexpected exits of the helper.", func(h *status.Helper) float64 { return float64(h.Deaths) }),
		of("helper_jobs_waiting", gauge, "Jobs waiting for the helper.", func(h *status.Helper) float64 { return float64(h.Waiting) }),
		{"helper_jobs_total", counter, "Jobs of the helper, by outcome.", func(x *exposition, p *status.Pool) {
			if h := p.Helper; h != nil {
				x.add(float64(h.Made), "outcome", "made")
				x.add(float64(h.Useless), "outcome", "useless")
				x.add(float64(h.Failed), "outcome", "failed")
				x.add(float64(h.Dropped), "outcome", "dropped")
			}
		}},
		{"compressed_responses_total", counter, "Requests answered with a compressed copy from the cache directory.", func(x *exposition, p *status.Pool) {
			if p.Helper != nil {
				eachSlot(func(x *exposition, s *status.Slot, label string) { x.add(float64(s.Copied), "slot", label) })(x, p)
			}
		}},
		of("content_digests_total", counter, "Digests of contents made by the helper.", func(h *status.Helper) float64 { return float64(h.Digests) }),
		of("compressed_source_bytes_total", counter, "Bytes of the files that were compressed.", func(h *status.Helper) float64 { return float64(h.Before) }),
		of("compressed_bytes_total", counter, "Bytes of the compressed copies that were made.", func(h *status.Helper) float64 { return float64(h.After) }),
		of("compressed_cache_bytes", gauge, "Bytes in the cache directory.", func(h *status.Helper) float64 { return float64(h.Kept) }),
	}
}
