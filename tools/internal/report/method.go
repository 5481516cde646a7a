package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"phalanx/tools/internal/document"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/stats"
)

// methodSection says how the numbers came about and where.
func methodSection(runs Runs) []document.Block {
	blocks := []document.Block{
		document.Heading{Text: "Method"},
		document.List{Items: []string{
			"Client and server share one machine and its loopback, which the assignment allows and advises against: they compete for the cores, and there is no network. To use two machines, start the server on one (bin/master --base site --port 8080, silent by default) and siege on the other (siege --benchmark --concurrent=64 --time=60S http://SERVER:8080/index.html).",
			"Each cell has a freshly started, silent server and a short warm-up that is not counted. Levels go upward; at each level the servers take turns, and another one is first each time, so that the machine's drift falls on all alike.",
			"CPU time is that of the server's processes from /proc. Work in interrupts is charged by the kernel to whatever ran. Memory is PSS, where a page shared by n processes counts 1/n for each, the most seen in a cell. Connections per worker are counted from the open sockets of each process every half second.",
			"siege runs with an rc file of its own: the cap of 255 users lifted, its HTML parser off, no log. It sends Connection: close with each request.",
			"A result whose client complains of itself (no port, no descriptor, no thread) is void and measured again, at most three times. So is one of siege that hangs when its time is over, a fault of siege 4.0. A server's column ends where more than 1 % of the requests fail.",
			"Downloaders discard what they receive inside the kernel (MSG_TRUNC), so that the machine's time goes to the server. The 100 GB file is sparse and in memory; the 4 GB file is in the page cache.",
		}},
	}
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	for _, r := range runs.all() {
		if r == nil {
			continue
		}
		if rows == nil {
			describe(r.Head, add)
		}
		add(string(r.Head.Settings.Kind)+", run", run(*r))
		add(string(r.Head.Settings.Kind)+", versions", versions(r.Head))
		add(string(r.Head.Settings.Kind)+", other programs", others(*r))
	}
	return append(blocks, document.Table{Caption: "Machine and runs", Head: []string{"What", "Value"}, Rows: rows, Text: true})
}

func describe(h record.Head, add func(name, value string)) {
	m := h.Machine
	add("CPU", fmt.Sprintf("%s, %s", m.CPU, plural(m.Cores, "core")))
	add("Memory", fmt.Sprintf("%.0f GiB", float64(m.Memory)/(1<<30)))
	add("Kernel", m.Kernel)
	add("Open files", whole(float64(m.Files)))
	for _, name := range slices.Sorted(maps.Keys(m.Sysctls)) {
		add(name, m.Sysctls[name])
	}
}

func run(r record.Run) string {
	tree := "clean tree"
	if !r.Head.Clean {
		tree = "tree with uncommitted changes"
	}
	void := 0
	for _, result := range r.Results {
		if result.Void != "" {
			void++
		}
	}
	return fmt.Sprintf("%s, commit %.12s, %s; %d of %d cells measured, %d void", r.Head.Date.Format("2006-01-02 15:04 UTC"), r.Head.Commit, tree,
		len(r.Results), len(r.Head.Settings.Cells), void)
}

func versions(h record.Head) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h.Versions)) {
		all = append(all, name+" "+h.Versions[name])
	}
	return strings.Join(all, ", ")
}

// others says how quiet the machine was.
func others(r record.Run) string {
	var cores []float64
	for _, result := range r.Results {
		if x, ok := result.Values[record.Others]; ok && result.Valid() {
			cores = append(cores, x)
		}
	}
	if len(cores) == 0 {
		return ""
	}
	s := stats.Of(cores)
	return fmt.Sprintf("%s cores busy with neither server nor client (median of the cells; most: %s)", digits(s.Mid), digits(s.High))
}
