package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
)

// faultsSection returns the section about what clients notice when workers die or are replaced.
func faultsSection(v view) (string, []document.Block) {
	level := v.level(record.KillKept)
	if level == 0 || !v.has(record.KillKept) {
		return "", nil
	}
	t := document.Table{
		Caption: fmt.Sprintf("%d clients; medians of the totals", level),
		Head: []string{"Server", "5 workers killed, one request per connection: failed", "5 workers killed, keep-alive: failed", "closed while idle",
			"5 reloads, keep-alive: failed", "closed while idle"},
	}
	cell := func(e record.Experiment, server string, m record.Metric) string {
		s := v.spread(e, server, v.level(e), m)
		if math.IsNaN(s.Mid) {
			return v.state(e, server, v.level(e))
		}
		text := whole(s.Mid)
		if s.High > s.Low {
			text += fmt.Sprintf(" (%s–%s)", whole(s.Low), whole(s.High))
		}
		if disturbed := v.mid(e, server, v.level(e), record.Disturbed); disturbed < record.Disturbances {
			text += fmt.Sprintf(", gone after %s", whole(disturbed))
		}
		return text
	}
	for _, server := range v.servers(record.KillKept) {
		t.Rows = append(t.Rows, []string{
			v.titled(server), cell(record.KillClose, server, record.Failed),
			cell(record.KillKept, server, record.Failed), cell(record.KillKept, server, record.Closed),
			cell(record.Reload, server, record.Failed), cell(record.Reload, server, record.Closed),
		})
	}
	blocks := []document.Block{
		document.Heading{Text: "Failures and reloads"},
		document.Paragraph{Text: fmt.Sprintf("While %d clients request the page, one worker after the other is killed with SIGKILL, five in all, or the server is reloaded five times (SIGHUP). %s. "+
			"Phalanx rescues the connections of a killed worker; with the other servers they are lost, with the requests that the worker was serving. A reload need not lose anything. "+
			"If the server closes an idle connection at the wrong moment, the client's next request fails or has to be sent again. "+
			"“Gone” is a server that exited after so many kills; all later requests fail.", level, rounds(v.rounds(record.KillKept)))},
		t,
	}
	for _, name := range slices.Sorted(maps.Keys(v.Head.Missing)) {
		blocks = append(blocks, document.Paragraph{Text: fmt.Sprintf("Not measured: %s.", v.Head.Missing[name])})
	}
	return faultsFinding(v), blocks
}

// titled returns a server's name, with its version if that is known; a floor has none.
func (v view) titled(server string) string {
	version := v.Head.Versions[server]
	if target.IsPhalanx(server) {
		version = v.Head.Versions["phalanx"]
	}
	if version == "" || version == "unknown" {
		return label(server)
	}
	return label(server) + " " + version
}

func faultsFinding(v view) string {
	lost := func(server string) float64 {
		return v.mid(record.Reload, server, v.level(record.Reload), record.Failed) + v.mid(record.Reload, server, v.level(record.Reload), record.Closed)
	}
	pool, nginx := lost("process"), lost("nginx")
	if math.IsNaN(pool) {
		return ""
	}
	text := fmt.Sprintf("Five reloads under load from %d clients cost Phalanx %s requests or idle connections", v.level(record.Reload), whole(pool))
	if !math.IsNaN(nginx) {
		text += fmt.Sprintf(", nginx %s", whole(nginx))
	}
	return text + "."
}
