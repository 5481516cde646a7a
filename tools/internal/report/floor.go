package report

import (
	"fmt"
	"math"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
)

// floorTables compares the servers with the floor, in a table for each number of
// connections.
func floorTables(v view) []document.Block {
	floor := record.FloorC
	if math.IsNaN(v.at(column{experiment: record.KeepAlive, metric: record.CPUPerRequest}, floor)) {
		floor = record.FloorGo // there was no C compiler
	}
	var blocks []document.Block
	for _, level := range v.LevelsOf(record.KeepAlive) {
		if math.IsNaN(v.mid(record.KeepAlive, floor, level, record.CPUPerRequest)) {
			continue
		}
		t := document.Table{
			Caption: fmt.Sprintf("%s: CPU µs per request, and as a multiple of the %s", plural(level, "connection"), label(floor)),
			Head:    []string{"Server", "Keep-alive", "× " + label(floor), "One request per connection", "× " + label(floor)},
		}
		for _, server := range v.apart() {
			row, any := []string{label(server)}, false
			for _, e := range []record.Experiment{record.KeepAlive, record.Close} {
				x := v.mid(e, server, level, record.CPUPerRequest)
				any = any || !math.IsNaN(x)
				row = append(row, v.cell(e, server, level, record.CPUPerRequest, micro), digits(x/v.mid(e, floor, level, record.CPUPerRequest)))
			}
			if any {
				t.Rows = append(t.Rows, row)
			}
		}
		blocks = append(blocks, t)
	}
	if len(blocks) == 0 {
		return nil
	}
	text := document.Paragraph{Text: "The floor (tools/floor) is an epoll loop in one process per core that sends the same bytes whenever a request ends: " +
		"it parses nothing, opens no file and has no limits. Its time is the kernel's; what a server needs beyond it is the server's own."}
	return append([]document.Block{text}, blocks...)
}
