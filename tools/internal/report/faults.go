package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// faultsSection is what clients notice when workers die or are replaced.
func faultsSection(v view) (string, []document.Block) {
	level := v.level(record.KillKept)
	if level == 0 || !v.has(record.KillKept) {
		return "", nil
	}
	t := document.Table{
		Caption: fmt.Sprintf("%d clients; medians, in all", level),
		Head: []string{"Server", "5 workers killed, a connection for each request: failed", "5 workers killed, connections kept: failed", "closed while idle",
			"5 reloads, connections kept: failed", "closed while idle"},
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
		if struck := v.mid(e, server, v.level(e), record.Struck); struck < record.Blows {
			text += fmt.Sprintf(", gone after %s", whole(struck))
		}
		return text
	}
	for _, server := range v.servers(record.KillKept) {
		t.Rows = append(t.Rows, []string{
			label(server) + " " + v.version(server), cell(record.KillClose, server, record.Failed),
			cell(record.KillKept, server, record.Failed), cell(record.KillKept, server, record.Closed),
			cell(record.Reload, server, record.Failed), cell(record.Reload, server, record.Closed),
		})
	}
	blocks := []document.Block{
		document.Heading{Text: "When workers die or are replaced"},
		document.Paragraph{Text: fmt.Sprintf("While %d clients ask for the page, a worker is killed with SIGKILL, five times, or the server is told five times to replace its workers (SIGHUP). %s. "+
			"Phalanx rescues the connections of a killed worker; with the other servers they are lost, and so are the requests that it was serving. A reload need not cost anything. "+
			"An idle connection that is closed without a word makes a client's next request fail, or be sent again. "+
			"A server that is gone after some of the kills has given up; what is asked of it then fails.", level, rounds(v.rounds(record.KillKept)))},
		t,
	}
	for _, name := range slices.Sorted(maps.Keys(v.Head.Missing)) {
		blocks = append(blocks, document.Paragraph{Text: fmt.Sprintf("Not measured: %s.", v.Head.Missing[name])})
	}
	return faultsFinding(v), blocks
}

// version is that of a server, or of Phalanx.
func (v view) version(server string) string {
	if version := v.Head.Versions[server]; version != "" {
		return version
	}
	return v.Head.Versions["phalanx"]
}

func faultsFinding(v view) string {
	lost := func(server string) float64 {
		return v.mid(record.Reload, server, v.level(record.Reload), record.Failed) + v.mid(record.Reload, server, v.level(record.Reload), record.Closed)
	}
	pool, nginx := lost("process"), lost("nginx")
	if math.IsNaN(pool) {
		return ""
	}
	text := fmt.Sprintf("Five reloads under %d clients cost Phalanx %s requests or idle connections", v.level(record.Reload), whole(pool))
	if !math.IsNaN(nginx) {
		text += fmt.Sprintf(", nginx %s", whole(nginx))
	}
	return text + "."
}
