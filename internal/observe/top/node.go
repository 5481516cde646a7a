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

// Node is one of several servers that are shown together.
type Node struct {
	Name   string // its admin endpoint, as given
	Source Source
}

// NodeStatus is the latest status of a node.
type NodeStatus struct {
	Name string
	Pool status.Pool // its last snapshot; zero if it has never responded
	Err  error       // of the latest query
}

// unreachable is the state of a node that does not respond.
const unreachable = "unreachable"

// state returns the state of the node's pool, or unreachable.
func (l *NodeStatus) state() string {
	if l.Err != nil {
		return unreachable
	}
	return l.Pool.State
}

// QueryAll queries all nodes concurrently.
func QueryAll(ctx context.Context, nodes []Node) []NodeStatus {
	statuses := make([]NodeStatus, len(nodes))
	var queries sync.WaitGroup
	for i, n := range nodes {
		queries.Go(func() {
			statuses[i].Name = n.Name
			statuses[i].Pool, statuses[i].Err = n.Source.Pool(ctx)
		})
	}
	queries.Wait()
	return statuses
}

// Unreachable returns an error if nodes did not respond: how many, and why the first did not.
func Unreachable(statuses []NodeStatus) error {
	var errs []error
	for i := range statuses {
		if statuses[i].Err != nil {
			errs = append(errs, statuses[i].Err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s did not respond: %w", len(errs), human.Plural(len(statuses), "node", "nodes"), errs[0])
}

// serving returns the number of a pool's workers that are serving.
func serving(p *status.Pool) int {
	return p.Count(func(w *status.Worker) bool { return w.State == status.WorkerServing })
}

// usage returns the resources that a pool's workers use: CPUs, bytes of memory, and the
// length of the longest accept queue.
func usage(p *status.Pool) (cpu float64, memory int64, queue int) {
	for i := range p.Workers {
		w := &p.Workers[i]
		cpu, memory, queue = cpu+w.CPU, memory+w.Memory, max(queue, w.Queue)
	}
	return cpu, memory, queue
}

// nodeColumns returns the columns of the table of nodes; longest is the width of the
// longest name.
func nodeColumns(longest int) []column[*NodeStatus] {
	type N = *NodeStatus
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
		number("UP", 4, 8, func(p *status.Pool) string { return uptime(p.Uptime) }, func(p *status.Pool) float64 { return p.Uptime }),
		number("WORKERS", 7, 6, func(p *status.Pool) string { return fmt.Sprintf("%d/%d", serving(p), p.Slots) }, func(p *status.Pool) float64 { return float64(serving(p)) }),
		number("CONN/IDLE", 9, 3, func(p *status.Pool) string { return count(p.Total.Active) + "/" + count(p.Total.Idle) }, func(p *status.Pool) float64 { return float64(p.Total.Active) }),
		number("REQ/S", 5, 2, func(p *status.Pool) string { return rate(p.Total.Rate) }, func(p *status.Pool) float64 { return p.Total.Rate }),
		number("MB/S", 4, 5, func(p *status.Pool) string { return megabytes(p.Total.Bandwidth) }, func(p *status.Pool) float64 { return p.Total.Bandwidth }),
		number("P99", 5, 4, func(p *status.Pool) string { return latency(p.Total.P99) }, func(p *status.Pool) float64 { return p.Total.P99 }),
		number("QUEUE", 5, 9, func(p *status.Pool) string { _, _, q := usage(p); return count(q) }, func(p *status.Pool) float64 { _, _, q := usage(p); return float64(q) }),
		number("CPU%", 4, 7, func(p *status.Pool) string { c, _, _ := usage(p); return percent(c) }, func(p *status.Pool) float64 { c, _, _ := usage(p); return c }),
		number("MEM", 4, 10, func(p *status.Pool) string { _, m, _ := usage(p); return size(m) }, func(p *status.Pool) float64 { _, m, _ := usage(p); return float64(m) }),
		number("DEATHS", 6, 11, func(p *status.Pool) string { return strconv.Itoa(p.Deaths) }, func(p *status.Pool) float64 { return float64(p.Deaths) }),
		{name: "VERSION", width: 10, rank: 12, left: true, cell: func(n N, width int) string { return pick(n.Err != nil, "-", clean(n.Pool.Version, width)) },
			order: func(a, b N) int { return cmp.Compare(a.Pool.Version, b.Pool.Version) }},
	}
}

// nodeSeverity ranks the state of a node; the table shows the highest first.
func nodeSeverity(n *NodeStatus) int {
	return slices.Index([]string{status.Serving, status.Starting, status.LameDuck, status.Draining, unreachable}, n.state())
}

// sum adds up the figures of all nodes, except P99, which is the worst of them.
func sum(statuses []NodeStatus) (f status.Figures, ready int) {
	for i := range statuses {
		l := &statuses[i]
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

// nodeProblems returns the problems of all nodes, prefixed with the name of the node, the
// worst first.
func nodeProblems(statuses []NodeStatus) (all []status.Problem) {
	for i := range statuses {
		l := &statuses[i]
		if l.Err != nil {
			all = append(all, status.Problem{Severity: status.Error, Text: nodeError(l)})
			continue
		}
		for _, p := range l.Pool.Problems {
			all = append(all, status.Problem{Severity: p.Severity, Text: l.Name + ": " + p.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b status.Problem) int { return cmp.Compare(a.Severity, b.Severity) })
	return all
}

// nodeError returns why a node does not respond, with the name of the node.
func nodeError(l *NodeStatus) string {
	if errors.Is(l.Err, context.DeadlineExceeded) {
		return l.Name + ": no response"
	}
	return l.Err.Error()
}
