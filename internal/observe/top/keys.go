package top

import (
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
	default:
		page := m.height - 8
		if c := m.clients; c == nil {
			if m.workers.press(key, m.table(), page) {
				m.order()
			}
		} else if columns := c.columns(m.width); c.press(key, fit(columns, m.width, c.by), page) {
			c.fill(c.rows, columns)
		}
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
	m.clients = newClients(slot, pid)
	if m.fetchingList {
		return nil // Update fetches the list when the one under way has arrived
	}
	return m.fetchList()
}

// table returns the layout of the workers in this window.
func (m *model) table() layout[status.Worker] {
	return fit(workerColumns(m.workers.rows, m.width >= wideWindow), m.width, m.workers.by)
}
