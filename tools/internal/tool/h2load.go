package tool

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"phalanx/tools/internal/record"
)

// H2loadCall returns the call that loads a URL over the given number of HTTP/2 connections,
// with the given number of requests open on each.
func H2loadCall(url string, connections, streams int, last time.Duration) Call {
	return Call{Args: []string{
		H2load, fmt.Sprintf("--clients=%d", connections), fmt.Sprintf("--max-concurrent-streams=%d", streams),
		fmt.Sprintf("--duration=%d", int(last.Seconds())), url,
	}}
}

var (
	h2loadTime   = regexp.MustCompile(`(?m)^finished in ([0-9.]+)(us|ms|s|m), `)
	h2loadCounts = regexp.MustCompile(`(?m)^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$`)
)

// ParseH2load parses the output of h2load, which has no percentiles and does not count the
// requests that are open when the time is over.
func ParseH2load(out Output, asked time.Duration) (Values, error) {
	if words := complaint(string(out.Stdout) + string(out.Stderr)); words != "" {
		return nil, &VoidError{"h2load: " + words}
	}
	took, counts := h2loadTime.FindSubmatch(out.Stdout), h2loadCounts.FindSubmatch(out.Stdout)
	if took == nil || counts == nil {
		return nil, fmt.Errorf("h2load printed no result: %q", out.clip())
	}
	lasted, err := time.ParseDuration(string(took[1]) + string(took[2]))
	if err != nil {
		return nil, fmt.Errorf("h2load's result: %w", err)
	}
	if err := short(lasted.Seconds(), asked); err != nil {
		return nil, err
	}
	var n [5]float64
	for i := 1; i < len(counts); i++ {
		if n[i], err = strconv.ParseFloat(string(counts[i]), 64); err != nil {
			return nil, fmt.Errorf("h2load's result: %w", err)
		}
	}
	good, failed := n[1], n[2]+n[3]+n[4]
	return Values{
		record.Seconds: lasted.Seconds(), record.Requests: good, record.PerSecond: good / lasted.Seconds(),
		record.Failed: failed, record.ErrorShare: share(failed, good),
	}, nil
}
