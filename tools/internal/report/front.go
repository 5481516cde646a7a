package report

import (
	"fmt"
	"math"
	"strings"

	"phalanx/tools/internal/record"
)

// Front returns the sentence about a comparison for the project's README.md, or ""
// if there is nothing to say.
func Front(peers record.Run) string {
	v := view{peers}
	cost := func(e record.Experiment, server string) float64 {
		return v.at(column{experiment: e, metric: record.CPUPerRequest}, server)
	}
	list := func(e record.Experiment) string {
		var parts []string
		for _, server := range []string{"h2o", "lighttpd", "nginx", "net/http"} {
			if x := cost(e, server); !math.IsNaN(x) {
				parts = append(parts, fmt.Sprintf("%s %s", label(server), micro(x)))
			}
		}
		return join(parts)
	}
	open, closing := cost(record.KeepAlive, "process"), cost(record.Close, "process")
	if math.IsNaN(open) || math.IsNaN(closing) || list(record.KeepAlive) == "" {
		return ""
	}
	return fmt.Sprintf("A page of %.0f kB on one of %s kept open costs Phalanx %s µs of CPU time (%s), and on a new connection %s µs (%s).",
		float64(v.Head.Settings.Page)/1e3, plural(v.level(record.KeepAlive), "connection"), micro(open), list(record.KeepAlive), micro(closing), list(record.Close))
}

// The marks between which README.md has a chart and that sentence.
const (
	frontBegin = "<!-- make compare writes from here -->\n"
	frontEnd   = "<!-- to here -->\n"
)

// WriteFront puts chart and sentence between the marks of a page; it does not
// change a page without marks. charts is the path of the directory of charts in
// the page's links.
func WriteFront(page []byte, charts string, peers record.Run) []byte {
	before, rest, begins := strings.Cut(string(page), frontBegin)
	_, after, ends := strings.Cut(rest, frontEnd)
	sentence := Front(peers)
	if !begins || !ends || sentence == "" {
		return page
	}
	text := fmt.Sprintf("![CPU time per request, Phalanx and others](%s/peers-cpu.svg)\n\n%s\n", charts, wrap(sentence))
	return []byte(before + frontBegin + text + frontEnd + after)
}

// wrap breaks a sentence into lines of at most 79 characters.
func wrap(text string) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= 79:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return strings.Join(append(lines, line), "\n")
}
