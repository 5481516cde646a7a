package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"charm.land/lipgloss/v2"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// Node is one of several servers that are looked at together.
type Node struct {
	Name   string // its admin endpoint, as it was given
	Source Source
}

// Look is what a node has answered.
type Look struct {
	Name string
	Pool status.Pool // the last that it has sent; zero: none yet
	Err  error       // of the latest look
}

// unreachable is the state of a node without an answer.
const unreachable = "unreachable"

// state is that of the node's pool.
func (l *Look) state() string {
	if l.Err != nil {
		return unreachable
	}
	return l.Pool.State
}

// AskAll looks at each node once, at the same time.
func AskAll(ctx context.Context, nodes []Node) []Look {
	looks := make([]Look, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() {
			looks[i].Name = n.Name
			looks[i].Pool, looks[i].Err = n.Source.Pool(ctx)
		})
	}
	asked.Wait()
	return looks
}

// Silent is an error if nodes did not answer; it says how many, and why the first did not.
func Silent(looks []Look) error {
	var errs []error
	for i := range looks {
		if looks[i].Err != nil {
			errs = append(errs, looks[i].Err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s did not answer: %w", len(errs), human.Plural(len(looks), "node", "nodes"), errs[0])
}

// serving is how many of a pool's workers are.
func serving(p *status.Pool) int {
	return p.Count(func(w *status.Worker) bool { return w.State == status.WorkerServing })
}

// deaths is how many workers of a pool have died.
func deaths(p *status.Pool) int {
	slots := map[int]int{}
	for i := range p.Workers {
		slots[p.Workers[i].Slot] = max(slots[p.Workers[i].Slot], p.Workers[i].Deaths)
	}
	n := 0
	for _, d := range slots {
		n += d
	}
	return n
}

// taken is what a pool's workers take together: shares of a CPU, bytes of memory, and the
// connections in the longest accept queue.
func taken(p *status.Pool) (cpu float64, memory int64, queue int) {
	for i := range p.Workers {
		w := &p.Workers[i]
		cpu, memory, queue = cpu+w.CPU, memory+w.Memory, max(queue, w.Queue)
	}
	return cpu, memory, queue
}

// nodeColumns are those of the table of nodes, whose longest name has so many cells.
func nodeColumns(longest int) []column[*Look] {
	type N = *Look
	number := func(name string, width, rank int, cell func(*status.Pool) string, value func(*status.Pool) float64) column[N] {
		return column[N]{name: name, width: width, rank: rank,
			cell:  func(n N, _ int) string { return pick(n.Err != nil, "-", cell(&n.Pool)) },
			order: func(a, b N) int { return cmp.Compare(value(&b.Pool), value(&a.Pool)) }}
	}
	return []column[N]{
		{name: "NODE", width: max(8, min(longest, 40)), rank: 0, left: true, cell: func(n N, width int) string { return cutMiddle(n.Name, width) },
			order: func(a, b N) int { return cmp.Compare(a.Name, b.Name) }},
		{name: "STATE", width: len(unreachable), rank: 1, left: true, cell: func(n N, width int) string { return clean(n.state(), width) },
			paint: func(t theme, n N) lipgloss.Style { return pick(n.Err != nil, t.bad, t.state(n.state())) },
			order: func(a, b N) int { return cmp.Compare(nodeSeverity(b), nodeSeverity(a)) }},
		number("UP", 4, 8, func(p *status.Pool) string { return uptime(p.Time, p.Started) }, func(p *status.Pool) float64 { return p.Time.Sub(p.Started).Seconds() }),
		number("WORKERS", 7, 6, func(p *status.Pool) string { return fmt.Sprintf("%d/%d", serving(p), p.Slots) }, func(p *status.Pool) float64 { return float64(serving(p)) }),
		number("CONN/IDLE", 9, 3, func(p *status.Pool) string { return count(p.Total.Active) + "/" + count(p.Total.Idle) }, func(p *status.Pool) float64 { return float64(p.Total.Active) }),
		number("REQ/S", 5, 2, func(p *status.Pool) string { return rate(p.Total.Rate) }, func(p *status.Pool) float64 { return p.Total.Rate }),
		number("MB/S", 4, 5, func(p *status.Pool) string { return megabytes(p.Total.Bandwidth) }, func(p *status.Pool) float64 { return p.Total.Bandwidth }),
		number("P99", 5, 4, func(p *status.Pool) string { return latency(p.Total.P99) }, func(p *status.Pool) float64 { return p.Total.P99 }),
		number("QUEUE", 5, 9, func(p *status.Pool) string { _, _, q := taken(p); return count(q) }, func(p *status.Pool) float64 { _, _, q := taken(p); return float64(q) }),
		number("CPU%", 4, 7, func(p *status.Pool) string { c, _, _ := taken(p); return percent(c) }, func(p *status.Pool) float64 { c, _, _ := taken(p); return c }),
		number("MEM", 4, 10, func(p *status.Pool) string { _, m, _ := taken(p); return size(m) }, func(p *status.Pool) float64 { _, m, _ := taken(p); return float64(m) }),
		number("DEATHS", 6, 11, func(p *status.Pool) string { return strconv.Itoa(deaths(p)) }, func(p *status.Pool) float64 { return float64(deaths(p)) }),
		{name: "VERSION", width: 10, rank: 12, left: true, cell: func(n N, width int) string { return pick(n.Err != nil, "-", clean(n.Pool.Version, width)) },
			order: func(a, b N) int { return cmp.Compare(a.Pool.Version, b.Pool.Version) }},
	}
}

// nodeSeverity is the order in which an operator wants to see nodes.
func nodeSeverity(n *Look) int {
	return slices.Index([]string{status.Serving, status.Starting, status.LameDuck, status.Draining, unreachable}, n.state())
}

// sum is what all nodes do together; the quantile is the worst of theirs.
func sum(looks []Look) (f status.Figures, ready int) {
	for i := range looks {
		l := &looks[i]
		if l.Err != nil {
			continue
		}
		if l.Pool.Ready {
			ready++
		}
		t := &l.Pool.Total
		f.Answered, f.Bytes, f.Active, f.Idle = f.Answered+t.Answered, f.Bytes+t.Bytes, f.Active+t.Active, f.Idle+t.Idle
		f.Rate, f.Bandwidth, f.P99 = f.Rate+t.Rate, f.Bandwidth+t.Bandwidth, max(f.P99, t.P99)
	}
	return f, ready
}

// troubles are the problems of all nodes, each after the name of its node; the worst first.
func troubles(looks []Look) (all []status.Problem) {
	for i := range looks {
		l := &looks[i]
		if l.Err != nil {
			all = append(all, status.Problem{Severity: status.Error, Text: oneLine(l)})
			continue
		}
		for _, p := range l.Pool.Problems {
			all = append(all, status.Problem{Severity: p.Severity, Text: l.Name + ": " + p.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b status.Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	return all
}

// oneLine is why a node does not answer; the error names it.
func oneLine(l *Look) string {
	if errors.Is(l.Err, context.DeadlineExceeded) {
		return l.Name + ": no answer"
	}
	return l.Err.Error()
}
