package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// secureSection returns the section that compares servers over TLS.
func secureSection(v view) (string, []document.Block) {
	v.Head.Settings.Experiments = slices.DeleteFunc(slices.Clone(v.Head.Settings.Experiments), func(e record.Experiment) bool { return !e.Secure() || e.Sized() })
	v.Head.Missing = nil // the previous section has them
	if !slices.ContainsFunc(v.Head.Settings.Experiments, v.has) {
		return "", nil
	}
	cpu := func(e record.Experiment, name string) column {
		return column{e, record.CPUPerRequest, name, micro}
	}
	requests := []column{
		cpu(record.TLSKept, "keep-alive"), cpu(record.TLSFull, "full handshakes"), cpu(record.TLSResumed, "resumed handshakes"),
	}
	others := []column{
		{record.TLSDownload, record.CPUPerGB, "download, CPU s per GB", digits}, {record.TLSIdle, record.PerConnection, "bytes per idle connection", whole},
	}
	http2 := []column{
		cpu(record.H2One, "1 stream"), cpu(record.H2Ten, "10 streams"), cpu(record.H2Hundred, "100 streams"),
	}
	open := plural(v.level(record.TLSKept), "connection")
	blocks := []document.Block{
		document.Heading{Text: "Over TLS"},
		document.Paragraph{Text: fmt.Sprintf("TLS 1.3 with AES-128-GCM and X25519; all servers use the same P-256 certificate. %s. "+
			"Idle connections were measured after six seconds of silence; the client of the download does not decrypt.", rounds(longest(v)))},
	}
	blocks = append(blocks, peersPicture(v, "tls-cpu", "CPU time per request over TLS, "+open, "µs, less is better; median, with lowest and highest", requests)...)
	blocks = append(blocks, peersPicture(v, "tls-other", "Downloads and idle connections over TLS", "less is better", others)...)
	blocks = append(blocks, peersTable(v, "CPU µs per request over TLS, "+open, requests)...)
	if slices.ContainsFunc(http2, func(c column) bool { return v.has(c.experiment) }) {
		const caption = " over HTTP/2, by concurrent streams per connection"
		note := plural(v.level(http2[slices.IndexFunc(http2, func(c column) bool { return v.has(c.experiment) })].experiment), "connection")
		blocks = append(blocks, peersPicture(v, "http2-cpu", "CPU time per request"+caption, note+"; µs, less is better", http2)...)
		blocks = append(blocks, peersTable(v, "CPU µs per request"+caption, http2)...)
	}
	var caption []string
	if n := v.level(record.TLSDownload); n > 0 {
		caption = append(caption, fmt.Sprintf("a download of %d GB", n))
	}
	if n := v.level(record.TLSIdle); n > 0 {
		caption = append(caption, plural(n, "idle connection"))
	}
	blocks = append(blocks, peersTable(v, "Over TLS: "+join(caption), others)...)
	blocks = append(blocks, goalsTable(secureGoals(v))...)
	return secureFinding(v, append(requests, others...)), blocks
}

// secureGoals lists the goals for TLS, which were set before the measurement.
func secureGoals(v view) []goal {
	cpu := func(work string, e record.Experiment, peer string, limit float64) goal {
		return v.ratio(work+", CPU per request", e, record.CPUPerRequest, "process", peer, limit)
	}
	idle := v.at(column{experiment: record.TLSIdle, metric: record.PerConnection}, "process")
	return measured([]goal{
		cpu("keep-alive", record.TLSKept, "nginx", 0.62),
		cpu("keep-alive", record.TLSKept, "h2o", 0.75),
		cpu("full handshake", record.TLSFull, "nginx", 0.90),
		cpu("resumed handshake", record.TLSResumed, "nginx", 0.90),
		cpu("HTTP/2, 1 stream", record.H2One, "nginx", 0.65),
		cpu("HTTP/2, 1 stream", record.H2One, "h2o", 0.85),
		cpu("HTTP/2, 10 streams", record.H2Ten, "nginx", 0.65),
		cpu("HTTP/2, 10 streams", record.H2Ten, "h2o", 1),
		cpu("HTTP/2, 100 streams", record.H2Hundred, "nginx", 0.65),
		cpu("HTTP/2, 100 streams", record.H2Hundred, "h2o", 1),
		v.ratio("one large download, CPU per GB", record.TLSDownload, record.CPUPerGB, "process", "nginx", 0.80),
		{"memory per idle connection", "≤ 1,536 B", idle, atMost(1536), func(x float64) string { return whole(x) + " B" }},
	})
}

// secureFinding returns a sentence that compares the pool with nginx.
func secureFinding(v view, columns []column) string {
	var parts []string
	for _, c := range columns {
		if ratio := v.at(c, "process") / v.at(c, "nginx"); !math.IsNaN(ratio) {
			parts = append(parts, fmt.Sprintf("%s %s", c.name, digits(ratio)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Over TLS, the pool's cost relative to nginx's: " + strings.TrimSuffix(join(parts), ".") + "."
}
