// Package tool defines the load generators: how each is called, how its output
// is parsed, and which of its messages are about itself. If the client itself
// failed (no port, no descriptor, no thread), the result says nothing about the
// server, so it is void. The package starts no processes.
package tool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"phalanx/tools/internal/record"
)

// Names of the programs.
const (
	Siege  = "siege"
	Wrk    = "wrk"
	H2load = "h2load"
	Vegeta = "vegeta"
)

// Call is a command line with its standard input and additions to the
// environment.
type Call struct {
	Args  []string // the program's name first
	Input string
	Env   []string
}

// Output is what a program printed.
type Output struct {
	Stdout, Stderr []byte
}

// decode decodes the JSON object at the end of standard output.
func (o Output) decode(program string, report any) error {
	start := bytes.IndexByte(o.Stdout, '{')
	if start < 0 {
		return fmt.Errorf("%s printed no result: %q", program, o.clip())
	}
	if err := json.NewDecoder(bytes.NewReader(o.Stdout[start:])).Decode(report); err != nil {
		return fmt.Errorf("%s's result: %w", program, err)
	}
	return nil
}

// clip returns the beginning of the output, for error messages.
func (o Output) clip() []byte {
	all := bytes.TrimSpace(append(bytes.Clone(o.Stderr), o.Stdout...))
	return all[:min(len(all), 200)]
}

// Values are the numbers of a result.
type Values = map[record.Metric]float64

// VoidError says why a result does not count.
type VoidError struct{ Reason string }

func (e *VoidError) Error() string { return e.Reason }

// own lists messages of a client about its own machine: the kernel's error texts
// and those of the tools.
func own() []string {
	return []string{
		"Cannot assign requested address", "cannot assign requested address",
		"Too many open files", "too many open files",
		"descriptor table full", "Resource temporarily unavailable", "unable to create thread",
		"Cannot allocate memory", "out of memory",
	}
}

// complaint returns the first message of a client about itself, or "".
func complaint(text string) string {
	for line := range strings.Lines(text) {
		for _, words := range own() {
			if strings.Contains(line, words) {
				return words
			}
		}
		if strings.Contains(line, "unable to connect") && !servers(line) {
			return "unable to connect"
		}
	}
	return ""
}

// servers reports whether a failed connection is the server's fault.
func servers(line string) bool {
	return slices.ContainsFunc([]string{"refused", "reset", "timed out"}, func(words string) bool { return strings.Contains(line, words) })
}

// short returns a VoidError if the client stopped too early. Siege may stop up
// to a second early, because it counts full seconds of the clock.
func short(seconds float64, asked time.Duration) error {
	if seconds < asked.Seconds()-1.1 || seconds <= 0 {
		return &VoidError{fmt.Sprintf("the client stopped after %.2f of %.0f s", seconds, asked.Seconds())}
	}
	return nil
}

func share(failed, answered float64) float64 {
	if failed+answered == 0 {
		return 1
	}
	return failed / (failed + answered)
}

// Of returns the tools that an experiment needs. Before siege, wrk warms up the
// server.
func Of(e record.Experiment) []string {
	switch e {
	case record.Siege:
		return []string{Siege, Wrk}
	case record.KeepAlive, record.Close, record.TLSKept, record.SizeKept, record.SizeClose, record.TLSSizeKept, record.TLSSizeClose:
		return []string{Wrk}
	case record.Rate:
		return []string{Vegeta}
	case record.H2One, record.H2Ten, record.H2Hundred:
		return []string{H2load}
	}
	return nil
}
