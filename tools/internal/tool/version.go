package tool

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Probe describes how to get the version of a tool from its output, and the
// oldest version that works.
type Probe struct {
	Name    string
	Args    []string
	Oldest  string
	Install string
	pattern string
}

// Probes returns the probes of the packaged tools. Siege prints JSON since
// 4.0.5, wrk passes errors to its script since 4.0, and h2load has --duration
// since 1.31.
func Probes() []Probe {
	return []Probe{
		{Name: Siege, Args: []string{"--version"}, Oldest: "4.0.5", Install: "apt-get install siege", pattern: `SIEGE ([0-9.]+)`},
		{Name: Wrk, Args: []string{"-v"}, Oldest: "4.0.0", Install: "apt-get install wrk", pattern: `wrk \D*([0-9]+\.[0-9.]+)`},
		{Name: H2load, Args: []string{"--version"}, Oldest: "1.31.0", Install: "apt-get install nghttp2-client", pattern: `nghttp2/([0-9.]+)`},
	}
}

// Check returns the version in the tool's output. It is an error if there is
// none or if it is too old.
func (p Probe) Check(output string) (string, error) {
	m := regexp.MustCompile(p.pattern).FindStringSubmatch(output)
	if m == nil {
		return "", fmt.Errorf("%s printed no version; run %s", p.Name, p.Install)
	}
	if older(m[1], p.Oldest) {
		return m[1], fmt.Errorf("%s %s is too old, %s or later is needed; run %s", p.Name, m[1], p.Oldest, p.Install)
	}
	return m[1], nil
}

// older reports whether version a is older than b, number by number.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range bs {
		if i >= len(as) {
			return true
		}
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return false
}
