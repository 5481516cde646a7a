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

// methodSection returns the section about how and where the numbers were measured.
func methodSection(runs Runs) []document.Block {
	blocks := []document.Block{
		document.Heading{Text: "Method"},
		document.List{Items: []string{
			"Client and server run on one machine over loopback: they compete for the cores, and there is no network. To use two machines, start the server on one (bin/master --base site --port 8080, silent by default) and siege on the other (siege --benchmark --concurrent=64 --time=60S http://SERVER:8080/index.html).",
			"For each cell the server is started anew, without logging, and warmed up briefly; the warm-up is not counted. Levels ascend; at each level the servers take turns and a different one goes first each time, so that the machine's drift affects all alike.",
			"CPU time is that of the server's processes, from /proc. The kernel charges interrupts to whichever process was running. Memory is the highest PSS in a cell; PSS counts a page shared by n processes as 1/n for each. Connections per worker are counted from the open sockets of each process every half second.",
			"siege runs with an rc file of its own: no limit of 255 users, no HTML parser, no log. It sends Connection: close with each request.",
			"A result is void if the client reports a fault of its own (no port, descriptor or thread left) or if siege hangs at its end, a fault of siege 4.0; the cell is measured again, up to three times. A server's column ends where more than 1 % of the requests fail.",
			"Downloaders discard what they receive inside the kernel (MSG_TRUNC), to leave the CPU time to the server. The 100 GB file is sparse and in memory; the 4 GB file is in the page cache.",
		}},
	}
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	var versions []string
	for _, r := range runs.all() {
		if r == nil {
			continue
		}
		if rows == nil {
			describe(r.Head, add)
		}
		add(string(r.Head.Settings.Kind), run(*r)+others(*r))
		for name, version := range r.Head.Versions {
			versions = append(versions, name+" "+version)
		}
	}
	slices.Sort(versions)
	add("Versions", strings.Join(slices.Compact(versions), ", "))
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

// others returns what is known about other load on the machine, to follow a sentence.
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
	return fmt.Sprintf("; other programs used %s cores (at most %s)", digits(s.Mid), digits(s.High))
}
