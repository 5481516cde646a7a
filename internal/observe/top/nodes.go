package top

import (
	"context"
	"os"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// nodes is the live view of several servers: a table of them, or the view of the one that
// is open. Each node has a model of its own, which makes its looks.
type nodes struct {
	models  []*model
	names   []string
	longest int // bytes of the longest name
	refresh time.Duration
	clock   func() time.Time
	broken  error

	width, height int
	paused        bool
	rows          []int // nodes, sorted
	by            string
	reversed      bool
	cursor        cursor
	open          *model // what is shown instead of the table; nil: none
}

// said is a message for one of the nodes.
type said struct {
	node int
	msg  tea.Msg
}

// RunNodes shows several servers as [Run] shows one. It returns an error before it touches the
// terminal if none of them answers.
func RunNodes(ctx context.Context, all []Node, in, out *os.File, o Options) error {
	if o.Refresh <= 0 {
		o.Refresh = time.Second
	}
	looks := AskAll(ctx, all)
	if !slices.ContainsFunc(looks, func(l Look) bool { return l.Err == nil }) {
		return Silent(looks)
	}
	ctxLooks, cancel := context.WithCancel(ctx)
	defer cancel()
	n := newNodes(ctxLooks, all, o.Refresh, time.Now)
	n.take(looks)
	err := show(ctx, n, in, out, o)
	for _, m := range n.models {
		m.owner.end(cancel)
	}
	return ending(ctx, err, n.broken)
}

func newNodes(ctx context.Context, all []Node, refresh time.Duration, clock func() time.Time) *nodes {
	n := &nodes{refresh: refresh, clock: clock, by: "NODE"}
	for _, node := range all {
		m := newModel(&owner{ctx: ctx, source: node.Source}, refresh, clock)
		m.among, m.answered = true, clock()
		n.models, n.names = append(n.models, m), append(n.names, node.Name)
		n.longest = max(n.longest, len(node.Name))
	}
	return n
}

// take takes in the first looks.
func (n *nodes) take(looks []Look) {
	for i, l := range looks {
		if n.models[i].err = l.Err; l.Err == nil {
			n.models[i].take(l.Pool, n.clock())
		}
	}
	n.order()
}

func (n *nodes) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, tick(n.refresh)) }

func (n *nodes) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		n.width, n.height = max(0, msg.Width), max(0, msg.Height)
		n.all(msg)
	case tea.BackgroundColorMsg:
		n.all(msg)
	case ticked:
		due := []tea.Cmd{tick(n.refresh)}
		for i, m := range n.models {
			m.now = n.clock()
			due = append(due, n.of(i, m.again()))
		}
		return n, tea.Batch(due...)
	case said:
		m := n.models[msg.node]
		_, cmd := m.Update(msg.msg)
		n.broken = m.broken
		n.order()
		return n, n.of(msg.node, cmd)
	case tea.KeyPressMsg:
		return n, n.press(msg.String())
	}
	return n, nil
}

// all passes a message to every node.
func (n *nodes) all(msg tea.Msg) {
	for _, m := range n.models {
		m.Update(msg)
	}
}

// of makes what a node's command answers a message for that node.
func (n *nodes) of(node int, cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() tea.Msg {
		switch msg := cmd().(type) {
		case tea.BatchMsg:
			for i := range msg {
				msg[i] = n.of(node, msg[i])
			}
			return msg
		case looked, listed, broke:
			return said{node, msg}
		default:
			return msg // of the program: to quit, or to suspend
		}
	}
}

// looks are the nodes as they have last answered, in the order in which they were given.
func (n *nodes) looks() []Look {
	looks := make([]Look, len(n.models))
	for i, m := range n.models {
		looks[i] = Look{Name: n.names[i], Pool: m.pool, Err: m.err}
	}
	return looks
}

// order sorts the rows; the cursor stays with its node.
func (n *nodes) order() {
	at := -1
	if n.cursor.at < len(n.rows) {
		at = n.rows[n.cursor.at]
	}
	n.rows = n.rows[:0]
	for i := range n.models {
		n.rows = append(n.rows, i)
	}
	looks, order := n.looks(), orderOf(nodeColumns(n.longest), n.by, n.reversed)
	slices.SortStableFunc(n.rows, func(a, b int) int { return order(&looks[a], &looks[b]) })
	if i := slices.Index(n.rows, at); i >= 0 {
		n.cursor.at = i
	}
}

// press does what a key says.
func (n *nodes) press(key string) tea.Cmd {
	if m := n.open; m != nil {
		back := m.clients == nil && !m.help
		if back && (key == "esc" || key == "left" || key == "backspace") {
			n.open = nil
			return nil
		}
		return n.of(slices.Index(n.models, m), m.press(key))
	}
	switch key {
	case "q", "Q", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "p", "space":
		n.paused = !n.paused
		for _, m := range n.models {
			m.paused = n.paused
		}
	case "enter", "c", "right", "l":
		n.open = n.models[n.rows[n.cursor.at]]
	case "s", ">", ".":
		n.resort(1)
	case "S", "<", ",":
		n.resort(-1)
	case "r":
		n.reversed = !n.reversed
		n.order()
	default:
		n.cursor.press(key, max(1, n.height-8), len(n.rows))
	}
	return nil
}

// resort goes to the next column that can be seen, or to the one before.
func (n *nodes) resort(step int) {
	n.by = neighbour(n.table(), n.by, step)
	n.order()
}

// table is how the nodes are laid out in this window.
func (n *nodes) table() layout[*Look] {
	return fit(nodeColumns(n.longest), n.width, n.by)
}
