package top

import (
	"context"
	"os"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// nodes is the live view of several servers: a table of them, or the view of one. Each node
// has its own model, which queries it.
type nodes struct {
	models  []*model
	names   []string
	longest int // bytes of the longest name
	refresh time.Duration
	clock   func() time.Time

	width, height int
	paused        bool
	table         sheet[*NodeStatus]
	open          *model // shown instead of the table; nil: none
}

// RunNodes shows several servers as [Run] shows one. If none of them responds, it returns an
// error before it touches the terminal.
func RunNodes(ctx context.Context, all []Node, in, out *os.File, o Options) error {
	statuses := QueryAll(ctx, all)
	if !slices.ContainsFunc(statuses, func(l NodeStatus) bool { return l.Err == nil }) {
		return Unreachable(statuses)
	}
	queries, cancel := context.WithCancel(ctx)
	n := newNodes(queries, all, o.Refresh, time.Now)
	n.setStatuses(statuses)
	return show(ctx, n, n.models, cancel, in, out, o)
}

func newNodes(ctx context.Context, all []Node, refresh time.Duration, clock func() time.Time) *nodes {
	alike := func(a, b *NodeStatus) int { return pick(a.Name == b.Name, 1, 0) }
	n := &nodes{refresh: refresh, clock: clock, table: sheet[*NodeStatus]{by: "NODE", alike: alike}}
	for _, node := range all {
		m := newModel(&fetcher{ctx: ctx, source: node.Source}, refresh, clock)
		m.inNodes, m.updated = true, clock()
		n.models, n.names = append(n.models, m), append(n.names, node.Name)
		n.longest = max(n.longest, len(node.Name))
	}
	return n
}

// setStatuses shows the first statuses.
func (n *nodes) setStatuses(statuses []NodeStatus) {
	for i, s := range statuses {
		if n.models[i].err = s.Err; s.Err == nil {
			n.models[i].setPool(s.Pool, n.clock())
		}
	}
	n.order()
}

func (n *nodes) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, tick(n.refresh)) }

func (n *nodes) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		n.width, n.height = max(0, msg.Width), max(0, msg.Height)
		n.broadcast(msg)
	case tea.BackgroundColorMsg:
		n.broadcast(msg)
	case tickMsg:
		due := []tea.Cmd{tick(n.refresh)}
		for _, m := range n.models {
			m.now = n.clock()
			due = append(due, m.fetchDue())
		}
		return n, tea.Batch(due...)
	case poolMsg:
		return n.pass(msg.to, msg)
	case listMsg:
		return n.pass(msg.to, msg)
	case tea.KeyPressMsg:
		return n, n.press(msg.String())
	}
	return n, nil
}

// broadcast passes a message to every node's model.
func (n *nodes) broadcast(msg tea.Msg) {
	for _, m := range n.models {
		m.Update(msg)
	}
}

// pass passes a message to the model of its node.
func (n *nodes) pass(m *model, msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := m.Update(msg)
	n.order()
	return n, cmd
}

// statuses returns the latest status of each node, in the order of the options.
func (n *nodes) statuses() []NodeStatus {
	statuses := make([]NodeStatus, len(n.models))
	for i, m := range n.models {
		statuses[i] = NodeStatus{Name: n.names[i], Pool: m.pool, Err: m.err}
	}
	return statuses
}

// order sorts the nodes.
func (n *nodes) order() {
	var rows []*NodeStatus
	for _, s := range n.statuses() {
		rows = append(rows, &s)
	}
	n.table.fill(rows, nodeColumns(n.longest))
}

// press handles a key.
func (n *nodes) press(key string) tea.Cmd {
	if m := n.open; m != nil {
		back := m.clients == nil && !m.help
		if back && (key == "esc" || key == "left" || key == "backspace") {
			n.open = nil
			return nil
		}
		cmd := m.press(key)
		n.pause(m.paused)
		return cmd
	}
	switch key {
	case "q", "Q", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "p", "space":
		n.pause(!n.paused)
	case "enter", "c", "right", "l":
		n.open = n.models[slices.Index(n.names, n.table.rows[n.table.cursor.at].Name)]
	default:
		if n.table.press(key, n.layout(), n.height-8) {
			n.order()
		}
	}
	return nil
}

// pause pauses or resumes the refreshing of all nodes.
func (n *nodes) pause(paused bool) {
	n.paused = paused
	for _, m := range n.models {
		m.paused = paused
	}
}

// layout returns the layout of the nodes in this window.
func (n *nodes) layout() layout[*NodeStatus] {
	return fit(nodeColumns(n.longest), n.width, n.table.by)
}
