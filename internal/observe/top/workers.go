package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// workerColumns returns the columns of the table of workers; wide adds the oldest request.
// Slots, pids and states are as wide as the longest one, so that eighty cells have room for
// all other columns.
func workerColumns(workers []status.Worker, wide bool) []column[status.Worker] {
	type W = status.Worker
	slot, pid, state := 1, 3, 8
	for _, w := range workers {
		slot, pid = max(slot, len(strconv.Itoa(w.Slot))), max(pid, len(strconv.Itoa(w.PID)))
		state = max(state, min(len(w.State), len(status.WorkerQuarantined)))
	}
	number := func(name string, width, rank int, cell func(W) string, value func(W) float64) column[W] {
		return column[W]{name: name, width: width, rank: rank,
			cell:  func(w W, _ int) string { return pick(w.PID == 0 && name != "QUEUE" && name != "GEN/D", "-", cell(w)) },
			order: func(a, b W) int { return cmp.Compare(value(b), value(a)) }}
	}
	all := []column[W]{
		{name: "#", width: slot, rank: 0, cell: func(w W, _ int) string { return strconv.Itoa(w.Slot) },
			order: func(a, b W) int { return cmp.Compare(a.Slot, b.Slot) }},
		number("PID", pid, 6, func(w W) string { return strconv.Itoa(w.PID) }, func(w W) float64 { return -float64(w.PID) }),
		{name: "STATE", width: state, rank: 1, left: true, cell: func(w W, _ int) string { return clean(w.State, state) },
			paint: func(t theme, w W) lipgloss.Style { return t.state(w.State) },
			order: func(a, b W) int { return cmp.Compare(severity(b), severity(a)) }},
		number("UP", 4, 9, func(w W) string { return pick(w.PID == 0, "-", uptime(w.Uptime)) }, func(w W) float64 { return w.Uptime }),
		number("CONN/IDLE", 9, 3, func(w W) string { return count(w.Active) + "/" + count(w.Idle) }, func(w W) float64 { return float64(w.Active) }),
		number("REQ/S", 5, 2, func(w W) string { return rate(w.Rate) }, func(w W) float64 { return w.Rate }),
		number("MB/S", 4, 8, func(w W) string { return megabytes(w.Bandwidth) }, func(w W) float64 { return w.Bandwidth }),
		number("P50", 5, 10, func(w W) string { return latency(w.P50) }, func(w W) float64 { return w.P50 }),
		number("P99", 5, 4, func(w W) string { return latency(w.P99) }, func(w W) float64 { return w.P99 }),
		number("QUEUE", 5, 7, func(w W) string { return count(w.Queue) }, func(w W) float64 { return float64(w.Queue) }),
		number("CPU%", 4, 5, func(w W) string { return percent(w.CPU) }, func(w W) float64 { return w.CPU }),
		number("MEM", 4, 6, func(w W) string { return size(w.Memory) }, func(w W) float64 { return float64(w.Memory) }),
		number("GEN/D", 5, 11, generations, func(w W) float64 { return float64(w.Deaths) }),
	}
	for i := range all {
		if all[i].name == "QUEUE" {
			all[i].paint = func(t theme, w W) lipgloss.Style { return pick(w.Queue > 0, t.warn, t.plain) }
		}
	}
	if wide {
		all = append(all, column[W]{name: "OLDEST REQUEST", width: 18, rank: 12, left: true, flex: true,
			cell:  func(w W, width int) string { return oldest(w, width) },
			order: func(a, b W) int { return cmp.Compare(oldestAge(b), oldestAge(a)) }})
	}
	return all
}

// generations formats how many processes a slot has had, and how many of them died.
func generations(w status.Worker) string {
	s := fmt.Sprintf("%d/%d", w.Generation, w.Deaths)
	if len(s) > 5 {
		s = number(float64(w.Generation), 4, 0) + "/+"
		if len(s) > 5 {
			s = "many"
		}
	}
	return s
}

// percent formats a share of one CPU as a percentage without the sign.
func percent(share float64) string { return number(share*100, 4, 0) }

func oldest(w status.Worker, width int) string {
	if w.Oldest == nil {
		return "-"
	}
	return clean(age(w.Oldest.Age)+" "+w.Oldest.Line, width)
}

func oldestAge(w status.Worker) float64 {
	if w.Oldest == nil {
		return -1
	}
	return w.Oldest.Age
}

// severity ranks the state of a worker; the table shows the highest first.
func severity(w status.Worker) int {
	return slices.Index([]string{status.WorkerServing, status.WorkerStarting, status.WorkerDraining, status.WorkerKilled, status.WorkerQuarantined, status.WorkerBackoff}, w.State)
}

// responses lists the responses of each class: "2xx 1,234".
func responses(f status.Figures) string {
	var parts []string
	for _, class := range status.Classes {
		if n := f.Requests[class]; n > 0 {
			parts = append(parts, class+" "+human.Count(n))
		}
	}
	return strings.Join(parts, ", ")
}

// failures lists the counters of what went wrong, "" if all are zero.
func failures(f status.Figures) string {
	var parts []string
	for _, c := range []struct {
		n    uint64
		name string
	}{{f.Truncated, "truncated"}, {f.TimedOut, "timed out"}, {f.Dropped, "dropped"}, {f.AtLimits(), "limited"}, {f.LogLost, "log lines lost"}} {
		if c.n > 0 {
			parts = append(parts, c.name+" "+human.Count(c.n))
		}
	}
	return strings.Join(parts, ", ")
}
