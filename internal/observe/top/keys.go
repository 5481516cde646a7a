package top

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

// press handles a key.
func (m *model) press(key string) tea.Cmd {
	switch key {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	}
	if m.help {
		return m.pressHelp(key)
	}
	switch key {
	case "q", "Q":
		return tea.Quit
	case "?", "h", "f1":
		m.help, m.helpTop = true, 0
	case "p", "space":
		if m.paused = !m.paused; !m.paused {
			return m.fetchDue()
		}
	case "enter", "c", "right", "l":
		return m.open()
	case "esc", "left", "backspace":
		m.clients = nil
	case "s", ">", ".":
		m.resort(1)
	case "S", "<", ",":
		m.resort(-1)
	case "r":
		m.reverse()
	default:
		m.scroll(key)
	}
	return nil
}

func (m *model) pressHelp(key string) tea.Cmd {
	switch key {
	case "q", "Q", "?", "h", "f1", "esc", "enter", "left", "backspace":
		m.help = false
	case "up", "k":
		m.helpTop--
	case "down", "j", "space":
		m.helpTop++
	case "pgup", "home", "g":
		m.helpTop = 0
	case "pgdown", "end", "G":
		m.helpTop = len(helpText)
	}
	return nil
}

// open lists the connections of the selected worker.
func (m *model) open() tea.Cmd {
	slot, pid := m.selected()
	if m.clients != nil || pid <= 0 {
		return nil
	}
	m.clients = &clients{slot: slot, pid: pid, by: byRemaining}
	if m.fetchingList {
		return nil // Update fetches the list when the one under way has arrived
	}
	return m.fetchList()
}

// resort sorts by the next visible column, or by the previous one if step is -1.
func (m *model) resort(step int) {
	if c := m.clients; c != nil {
		c.by = nextOrder(c.by, step)
		c.keep(func() {})
		return
	}
	m.by = nextColumn(m.table(), m.by, step)
	m.order()
}

// nextColumn returns the name of the column that is step columns to the right of the
// named one, and wraps around.
func nextColumn[R any](l layout[R], name string, step int) string {
	n := len(l.columns)
	if n == 0 {
		return name
	}
	at := slices.IndexFunc(l.columns, func(c column[R]) bool { return c.name == name })
	return l.columns[(max(0, at)+step+n)%n].name
}

func (m *model) reverse() {
	if c := m.clients; c != nil {
		c.reversed = !c.reversed
		c.keep(func() {})
		return
	}
	m.reversed = !m.reversed
	m.order()
}

func (m *model) scroll(key string) {
	c, rows := &m.cursor, len(m.workers)
	if m.clients != nil {
		c, rows = &m.clients.cursor, len(m.clients.all)
	}
	c.press(key, max(1, m.height-8), rows)
}

// press moves the cursor within the given number of rows, if key is a movement.
func (c *cursor) press(key string, page, rows int) {
	switch key {
	case "up", "k":
		c.move(-1, rows)
	case "down", "j":
		c.move(1, rows)
	case "pgup", "ctrl+b", "b":
		c.move(-page, rows)
	case "pgdown", "ctrl+f", "f":
		c.move(page, rows)
	case "home", "g":
		c.move(-rows, rows)
	case "end", "G":
		c.move(rows, rows)
	}
}

// table returns the layout of the workers in this window.
func (m *model) table() layout[status.Worker] {
	return fit(workerColumns(m.pool.Time, m.workers, m.width >= wideWindow), m.width, m.by)
}
