package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
	"phalanx/internal/theme"
)

//go:embed status.html
var statusHTML string

//go:embed status.css
var statusCSS string

// statusStyle is the style sheet of the status page.
func statusStyle() string { return theme.Base + statusCSS }

//go:embed status.js
var statusJS string

// page is the status page: one self-contained document. The server fills it in, so
// it can be read without the script, which then updates the same values in place.
type page struct {
	document *template.Template
	policy   string // Content-Security-Policy: only this style and this script
}

func newPage() *page {
	functions := template.FuncMap{
		"count":   func(n int) string { return human.Count(n) },
		"bytes":   func(n int64) string { return human.Bytes(n) },
		"rate":    human.Rate,
		"seconds": human.Seconds,
		"age":     human.Age,
		"percent": human.Percent,
		"visible": visible,
		"state":   stateName,

		"handshakes": handshakes,
		"http2":      http2,
	}
	p := &page{document: template.Must(template.New("status").Funcs(functions).Parse(statusHTML))}
	p.policy = "default-src 'none'; style-src 'sha256-" + digest(statusStyle()) + "'; script-src 'sha256-" + digest(statusJS) +
		"'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return p
}

// visible escapes control characters and replaces invalid UTF-8 with U+FFFD, as
// encoding/json does, so that the page and the script show the same text.
func visible(s string) string { return human.Visible(string([]rune(s))) }

// expiry describes when a certificate expires; status.js has the same text.
func expiry(c status.Certificate, now time.Time) string {
	if left := c.Left(now); left > 0 {
		return visible(c.Key) + ", expires in " + human.Age(left)
	}
	return visible(c.Key) + ", expired " + human.Age(-c.Left(now)) + " ago"
}

// handshakes summarises the TLS handshakes; status.js has the same text.
func handshakes(t *status.TLS) string {
	if t == nil {
		return "No handshakes yet"
	}
	return human.Plural(t.Completed(), "handshake", "handshakes") + ", " + human.Count(t.Resumed) + " resumed, " + human.Count(t.Failures()) + " failed"
}

// http2 summarises the requests over HTTP/2; status.js has the same text.
func http2(f status.Figures) string {
	text := human.Plural(f.Versions["2"], "request", "requests")
	if f.HTTP2 != nil && f.HTTP2.Endings() > 0 {
		text += ", " + human.Plural(f.HTTP2.Endings(), "connection error", "connection errors")
	}
	return text
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (p *page) render(pool status.Pool) ([]byte, error) {
	var b bytes.Buffer
	if err := p.document.Execute(&b, newView(pool)); err != nil {
		return nil, fmt.Errorf("write the status page: %w", err)
	}
	return b.Bytes(), nil
}

// view is a snapshot as the page shows it.
type view struct {
	status.Pool
	Style   template.CSS
	Script  template.JS
	Figures []figure
	Charts  []chart
	Rows    []row

	Certified []figure // the certificates
	Blank     row      // template of new rows for the script
}

// figure is a number with a label.
type figure struct {
	Key, Name, Value string
	Alert            bool // not zero, but should be
}

// row is a worker.
type row struct {
	status.Worker
	Key, Link string
}

func newView(p status.Pool) view {
	v := view{
		Pool: p, Style: template.CSS(statusStyle()), Script: template.JS(statusJS),
		Figures: figures(&p.Total), Charts: charts(&p),
	}
	for _, c := range p.Certificates {
		v.Certified = append(v.Certified, figure{"", visible(c.Name()), expiry(c, p.Time), c.Expiring})
	}
	for _, w := range p.Workers {
		r := row{Worker: w, Key: fmt.Sprintf("%d/%d", w.Slot, w.PID)}
		if w.PID > 0 {
			r.Link = fmt.Sprintf("connections?slot=%d&pid=%d", w.Slot, w.PID)
		}
		v.Rows = append(v.Rows, r)
	}
	return v
}

// figures returns the figures in the order of the page; status.js has the same keys.
func figures(f *status.Figures) []figure {
	n := func(key, name string, n uint64, alert bool) figure {
		return figure{key, name, human.Count(n), alert && n > 0}
	}
	return []figure{
		{"p50", "Median latency", human.Seconds(f.P50), false},
		{"active", "Connections", human.Count(f.Active) + ", " + human.Count(f.Idle) + " idle", false},
		n("answered", "Requests", f.Answered, false),
		{"sent", "Sent", human.Bytes(f.Bytes), false},
		n("c4xx", "4xx errors", f.Requests["4xx"], false),
		n("c5xx", "5xx errors", f.Requests["5xx"], true),
		n("truncated", "Truncated responses", f.Truncated, false),
		n("timed_out", "Client timeouts", f.TimedOut, false),
		n("dropped", "Dropped connections", f.Dropped, true),
		n("limited", "Limited connections", f.AtLimits(), false),
		n("lost", "Log lines lost", f.LogLost, true),
	}
}

// chart is a value with its history of a minute.
type chart struct {
	Key, Name, Unit, Now, Top string
	Summary                   string // for screen readers
	Line, Area                string // SVG paths
}

func charts(p *status.Pool) []chart {
	series := func(key, name, unit string, now float64, text func(float64) string, value func(status.Point) float64) chart {
		all := make([]float64, 0, len(p.History))
		for _, point := range p.History {
			all = append(all, value(point))
		}
		low, high := extremes(all)
		c := chart{Key: key, Name: name, Unit: unit, Now: text(now), Top: text(high)}
		c.Line, c.Area = paths(all, high)
		c.Summary = fmt.Sprintf("%s in the last minute: lowest %s, highest %s", name, text(low), text(high))
		return c
	}
	return []chart{
		series("rate", "Requests per second", "", p.Total.Rate, human.Rate, func(p status.Point) float64 { return p.Rate }),
		series("bandwidth", "Bandwidth", "", p.Total.Bandwidth, func(n float64) string { return human.Bytes(n) + "/s" }, func(p status.Point) float64 { return p.Bandwidth }),
		series("p99", "p99 latency", "", p.Total.P99, human.Seconds, func(p status.Point) float64 { return p.P99 }),
	}
}

func extremes(all []float64) (low, high float64) {
	if len(all) > 0 {
		low, high = slices.Min(all), max(0, slices.Max(all))
	}
	return low, high
}

// The coordinates of a chart: one point per second of a minute, and a margin above
// the line.
const (
	chartPoints = 60
	chartHeight = 40
	chartRoom   = 2
)

// paths draws a series whose last value is now, at the right.
func paths(all []float64, high float64) (line, area string) {
	all = all[max(0, len(all)-chartPoints):]
	if len(all) < 2 {
		return "", ""
	}
	var b bytes.Buffer
	first := chartPoints - len(all)
	for i, v := range all {
		y := float64(chartHeight)
		if high > 0 {
			y -= v / high * (chartHeight - chartRoom)
		}
		verb := 'L'
		if i == 0 {
			verb = 'M'
		}
		fmt.Fprintf(&b, "%c%d %s", verb, first+i, human.Fixed(y, 1))
	}
	line = b.String()
	return line, fmt.Sprintf("%sV%dH%dZ", line, chartHeight, first)
}

func stateName(state string) string {
	if state == status.LameDuck {
		return "lame duck"
	}
	return state
}

// Since is the start time of the master, machine-readable and human-readable.
func (v view) Since() [2]string {
	at := v.Started.UTC()
	return [2]string{at.Format(time.RFC3339), at.Format("2006-01-02 15:04:05 UTC")}
}
