package tool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"phalanx/tools/internal/record"
)

// VegetaAttack returns the call that sends requests at a fixed rate, whether or
// not earlier ones have been answered, so that a slow response does not hide the
// delay of later ones (coordinated omission). It writes to the file results.
func VegetaAttack(program, results, url string, perSecond int, last time.Duration) Call {
	return Call{
		Args: []string{
			program, "attack", fmt.Sprintf("-rate=%d/1s", perSecond), "-duration=" + last.String(),
			"-timeout=10s", "-max-body=0", "-output=" + results,
		},
		Input: "GET " + url + "\n",
	}
}

// VegetaReport returns the call that prints a report of the file results; kind
// is "json" or "hdrplot".
func VegetaReport(program, results, kind string) Call {
	return Call{Args: []string{program, "report", "-type=" + kind, results}}
}

type vegetaReport struct {
	Latencies struct {
		Mean float64 `json:"mean"` // ns, like the others
		P50  float64 `json:"50th"`
		P99  float64 `json:"99th"`
		Max  float64 `json:"max"`
	} `json:"latencies"`
	Duration   float64        `json:"duration"` // ns
	Requests   float64        `json:"requests"`
	Success    float64        `json:"success"`    // share
	Throughput float64        `json:"throughput"` // successes/s
	Rate       float64        `json:"rate"`       // sent/s
	Codes      map[string]int `json:"status_codes"`
	Errors     []string       `json:"errors"`
}

// ParseVegeta parses the reports "json" and "hdrplot".
func ParseVegeta(out, plot Output, asked time.Duration) (Values, error) {
	var r vegetaReport
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		return nil, fmt.Errorf("vegeta's result %q: %w", out.clip(), err)
	}
	if words := complaint(strings.Join(r.Errors, "\n")); words != "" {
		return nil, &VoidError{"vegeta: " + words}
	}
	const nano = 1e-9
	if err := short(r.Duration*nano, asked); err != nil {
		return nil, err
	}
	p999, err := hdrValue(plot.Stdout, 0.999)
	if err != nil {
		return nil, err
	}
	good := r.Requests * r.Success
	return Values{
		record.Seconds: r.Duration * nano, record.Requests: good, record.PerSecond: r.Throughput,
		record.Failed: r.Requests - good, record.ErrorShare: 1 - r.Success,
		record.Mean: r.Latencies.Mean * nano, record.P50: r.Latencies.P50 * nano,
		record.P99: r.Latencies.P99 * nano, record.P999: p999, record.Longest: r.Latencies.Max * nano,
	}, nil
}

// hdrValue returns a percentile in seconds from a table for the plotter of
// HdrHistogram: value in ms, percentile, count, 1/(1-percentile).
func hdrValue(plot []byte, percentile float64) (float64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(plot)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 4 {
			continue
		}
		at, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || at < percentile-1e-9 {
			continue
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("vegeta's hdrplot: %w", err)
		}
		return value / 1000, nil
	}
	return 0, fmt.Errorf("vegeta's hdrplot has no percentile %v", percentile)
}
