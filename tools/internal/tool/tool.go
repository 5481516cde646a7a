// Package tool knows the load generators: how each is called, what it
// prints, and which of its complaints are about itself. A result in which
// the client complains of itself (no port, no descriptor, no thread) says
// nothing about the server, so it is void. Nothing here starts a process.
package tool

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// decode reads the JSON object that ends what a program printed.
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

// clip is the beginning of what a program said, for an error's text.
func (o Output) clip() []byte {
	all := bytes.TrimSpace(append(bytes.Clone(o.Stderr), o.Stdout...))
	return all[:min(len(all), 200)]
}

// Values are the numbers of a result.
type Values = map[record.Metric]float64

// VoidError says why a result does not count.
type VoidError struct{ Reason string }

func (e *VoidError) Error() string { return e.Reason }

// own are the complaints of a client about its own machine, in errno's words
// and the tools' own.
func own() []string {
	return []string{
		"Cannot assign requested address", "cannot assign requested address",
		"Too many open files", "too many open files",
		"descriptor table full", "Resource temporarily unavailable", "unable to create thread",
		"Cannot allocate memory", "out of memory",
	}
}

// complaint finds the first line in which a client speaks of itself.
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

// servers reports whether the other side is to blame.
func servers(line string) bool {
	for _, words := range []string{"refused", "reset", "timed out"} {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}

// short voids a result whose client stopped long before its time. Siege ends
// up to a second early: it counts full seconds of the clock.
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

// Of names the tools of an experiment. Siege's servers are warmed up by wrk.
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
