package top

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// Snapshot renders a snapshot as plain text: a few lines about the pool, then a line for
// each worker. It has neither colours nor escape sequences, and no line is wider than
// width cells. With a width of 0, the table has all its columns and lines are not
// shortened, except in the table.
func Snapshot(p status.Pool, width int) string {
	if width <= 0 {
		width = 4096
	}
	var b strings.Builder
	say := func(name, format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		if name != "" {
			s = fmt.Sprintf("%-12s%s", name, s)
		}
		b.WriteString(strings.TrimRight(clean(s, width), " ") + "\n")
	}
	f := p.Total
	say("", "Phalanx %s: %s, pid %d, up %s", p.Version, p.State, p.PID, age(p.Uptime))
	for _, problem := range p.Problems {
		say(problem.Severity, "%s", problem.Text)
	}
	say("address", "%s", p.Address)
	if p.Base != "" || len(p.Sites) == 0 {
		say("base", "%s", p.Base)
	}
	say("pool", "%s", poolSummary(p))
	say("now", "%s requests/s, %s/s, p50 %s, p99 %s", rate(f.Rate), human.Bytes(f.Bandwidth), latency(f.P50), latency(f.P99))
	say("connections", "%s open, %s idle", human.Count(f.Active), human.Count(f.Idle))
	say("total", "%s, %s, %s", human.Plural(f.Answered, "request", "requests"), human.Bytes(f.Bytes), human.Plural(f.Accepted, "connection", "connections"))
	if n := p.Count(func(w *status.Worker) bool { return w.Keeper != 0 }); n > 0 {
		say("keepers", "%s, for %s", human.Count(n), human.Plural(len(p.Workers), "worker", "workers"))
	}
	if h := p.Helper; h != nil {
		say("helper", "%s", helperSummary(h))
	}
	if s := sandboxSummary(p); s != "" {
		say("sandbox", "%s", s)
	}
	if r := p.Rescue; r.Workers+r.GivenUp > 0 {
		say("rescue", "%s of dead workers rescued, %s closed", human.Plural(r.Connections, "connection", "connections"), human.Count(r.Closed()))
	}
	siteLines(p, say)
	tlsLines(p, say)
	if r := responses(f); r != "" {
		say("responses", "%s", r)
	}
	if t := failures(f); t != "" {
		say("errors", "%s", t)
	}
	b.WriteString("\n")
	writeTable(&b, fit(workerColumns(p.Workers, width >= wideWindow), min(width, 200)+1, ""), p.Workers)
	return b.String()
}

// siteLines writes a line for each site, the busiest first.
func siteLines(p status.Pool, say func(name, format string, args ...any)) {
	busiest := slices.Clone(p.Sites)
	slices.SortStableFunc(busiest, func(a, b status.Site) int { return cmp.Compare(b.Answered(), a.Answered()) })
	for i, s := range busiest {
		if i == mostSites {
			say("site", "%s more", human.Count(len(busiest)-i))
			break
		}
		base := s.Base
		if base == "" {
			base = "refused"
		}
		say("site", "%s, %s, %s, %s", s.Name, base, human.Plural(s.Answered(), "request", "requests"), human.Bytes(s.Bytes))
	}
}

// mostSites is the maximum number of sites that are listed.
const mostSites = 10

// tlsLines writes the lines about TLS, HTTP/2 and certificates.
func tlsLines(p status.Pool, say func(name, format string, args ...any)) {
	if t := p.Total.TLS; t != nil {
		say("tls", "%s, %s resumed, %s failed", human.Plural(t.Completed(), "handshake", "handshakes"), human.Count(t.Resumed), human.Count(t.Failures()))
	}
	if h := p.Total.HTTP2; h != nil {
		say("http/2", "%s, %s open, %s", human.Plural(p.Total.Versions["2"], "request", "requests"), human.Count(h.Streams), human.Plural(h.Endings(), "connection error", "connection errors"))
	}
	for i, c := range p.Certificates {
		if i == mostCertificates {
			say("certificate", "%s more", human.Count(len(p.Certificates)-i))
			break
		}
		say("certificate", "%s, %s, %s", c.Name(), c.Key, expiry(c, p.Time))
	}
}

// mostCertificates is the maximum number of certificates that are listed, the first to
// expire first.
const mostCertificates = 10

// expiry describes when a certificate expires.
func expiry(c status.Certificate, now time.Time) string {
	at := c.NotAfter.UTC().Format("2006-01-02 15:04")
	if left := c.Left(now); left > 0 {
		return "expires in " + age(left) + ", on " + at
	}
	return "expired on " + at
}

// poolSummary describes a pool: its model, serving workers and reloads.
func poolSummary(p status.Pool) string {
	s := fmt.Sprintf("%s model, %d of %d serving", p.Model, serving(&p), p.Slots)
	if p.Reloads > 0 {
		s += ", " + human.Plural(p.Reloads, "reload", "reloads")
	}
	return s
}

// JSON writes value, such as a [status.Pool], as indented JSON. Runes that could control a
// terminal are escaped, which does not change the values.
func JSON(w io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write status as JSON: %w", err)
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r > 0x7e && !unicode.IsPrint(r) {
			for _, half := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, half)
			}
			continue
		}
		b.WriteRune(r)
	}
	_, err = fmt.Fprintln(w, b.String())
	return err
}

// sandboxSummary describes the sandboxes of the workers: what the first incomplete one
// lacks, if any is incomplete; "" if no worker is sandboxed.
func sandboxSummary(p status.Pool) string {
	confined, running := 0, 0
	for i := range p.Workers {
		switch w := &p.Workers[i]; {
		case w.PID == 0 || w.State == status.WorkerStarting:
			continue
		case w.Sandbox != "" && w.Sandbox != status.SandboxFull:
			return w.Sandbox
		case w.Sandbox != "":
			confined++
		}
		running++
	}
	if confined == 0 {
		return ""
	}
	if confined < running {
		return fmt.Sprintf("of %d of %s", confined, human.Plural(running, "worker", "workers"))
	}
	return status.SandboxFull
}

// helperSummary describes the helper and its counters.
func helperSummary(h *status.Helper) string {
	text := "not running"
	if h.PID != 0 {
		text = fmt.Sprintf("pid %d", h.PID)
	}
	if h.Waiting > 0 {
		text += fmt.Sprintf(", %s", human.Plural(h.Waiting, "job waits", "jobs wait"))
	}
	text += fmt.Sprintf("; %s, of %s", human.Plural(h.Made, "compressed copy", "compressed copies"), human.Bytes(h.Before))
	if h.Made > 0 {
		text += fmt.Sprintf(" now %s", human.Bytes(h.After))
	}
	if h.Digests > 0 {
		text += fmt.Sprintf("; %s", human.Plural(h.Digests, "digest", "digests"))
	}
	if h.Deaths > 0 {
		text += fmt.Sprintf("; died %s", human.Plural(h.Deaths, "time", "times"))
	}
	return text
}

// helperBrief describes the helper in a few words; "" if there is none.
func helperBrief(h *status.Helper) string {
	switch {
	case h == nil:
		return ""
	case h.Waiting > 0:
		return fmt.Sprintf("helper %d, %s", h.PID, human.Plural(h.Waiting, "job waits", "jobs wait"))
	}
	return human.Count(h.Made) + " compressed"
}
