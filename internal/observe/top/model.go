package top

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

// model is all that is seen and all that decides it. One goroutine has it:
// Bubble Tea's.
type model struct {
	broken  error // why it ends, if that is a mistake
	owner   *owner
	refresh time.Duration
	clock   func() time.Time

	width, height int
	dark          bool // the background
	now           time.Time

	pool     status.Pool
	answered time.Time // when the look that the numbers are of was made
	err      error     // of the latest look
	ended    bool      // the server was about to end, or has taken its socket away
	looking  bool      // a look is under way
	listing  bool      // and one at connections
	paused   bool

	workers  []status.Worker // sorted
	by       string          // the column
	reversed bool
	cursor   cursor

	clients *clients // that are looked at instead of the workers, or nil
	help    bool
	among   bool // one of several nodes, to which esc leads back
	helpTop int
}

// clients is the list of one worker's connections.
type clients struct {
	slot, pid int
	total     int // there are
	all       []*client
	states    map[string]int
	longest   int // bytes of the longest address
	loaded    bool
	err       error
	by        string
	reversed  bool
	cursor    cursor
}

func newModel(o *owner, refresh time.Duration, clock func() time.Time) *model {
	return &model{owner: o, refresh: refresh, clock: clock, now: clock(), dark: true, by: "#"}
}

func (m *model) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, tick(m.refresh)) }

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.clock()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(0, msg.Width), max(0, msg.Height)
	case tea.BackgroundColorMsg:
		m.dark = msg.IsDark()
	case ticked:
		return m, tea.Batch(tick(m.refresh), m.again())
	case looked:
		m.looking = false
		m.hear(msg)
	case listed:
		m.hearList(msg)
		if m.clients != nil && !m.clients.loaded && !m.listing { // another list was asked for meanwhile
			return m, m.list()
		}
	case broke:
		m.broken = msg.err
		return m, tea.Quit
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

// again makes the looks that are due.
func (m *model) again() tea.Cmd {
	var due []tea.Cmd
	if !m.looking && !m.paused {
		due = append(due, m.look())
	}
	if m.clients != nil && !m.listing && (!m.paused || !m.clients.loaded) {
		due = append(due, m.list())
	}
	return tea.Batch(due...)
}

// hear takes in an answer about the pool, or that there was none.
func (m *model) hear(l looked) {
	switch {
	case m.paused:
	case l.err == nil:
		m.take(l.pool, l.began)
	default:
		m.err = l.err
		if errors.Is(l.err, fs.ErrNotExist) {
			m.ended = true
		}
		if errors.Is(l.err, syscall.ECONNREFUSED) && (m.pool.State == status.Draining || m.pool.State == status.LameDuck) {
			m.ended = true
		}
	}
}

func (m *model) take(p status.Pool, at time.Time) {
	p.History = p.History[max(0, len(p.History)-minute):]
	m.pool, m.answered, m.err, m.ended = p, at, nil, false
	m.order()
}

// order sorts the workers; the cursor stays with its worker.
func (m *model) order() {
	slot, pid := m.selected()
	m.workers = slices.Clone(m.pool.Workers)
	slices.SortStableFunc(m.workers, orderOf(workerColumns(m.pool.Time, nil, true), m.by, m.reversed))
	if i := slices.IndexFunc(m.workers, func(w status.Worker) bool { return w.Slot == slot && w.PID == pid }); i >= 0 {
		m.cursor.at = i
	} else if i := slices.IndexFunc(m.workers, func(w status.Worker) bool { return w.Slot == slot }); i >= 0 {
		m.cursor.at = i // its successor
	}
	m.cursor.move(0, len(m.workers))
}

// selected names the worker under the cursor; -1 is none.
func (m *model) selected() (slot, pid int) {
	if m.cursor.at < len(m.workers) {
		w := m.workers[m.cursor.at]
		return w.Slot, w.PID
	}
	return -1, -1
}

// hearList takes in an answer about connections, unless others are wanted now.
func (m *model) hearList(l listed) {
	m.listing = false
	c := m.clients
	if c == nil || c.slot != l.slot || c.pid != l.pid || m.paused && c.loaded {
		return
	}
	c.loaded, c.err = true, l.err
	if l.err != nil {
		return
	}
	c.total = max(l.list.Total, len(l.list.Connections))
	c.keep(func() { c.all = follow(c.all, l.list.Connections, l.at) })
	c.longest, c.states = 0, make(map[string]int)
	for _, one := range c.all {
		c.longest = max(c.longest, len(one.Client))
		c.states[brief(one.State)]++
	}
}

// keep changes the list, sorts it, and leaves the cursor with its client; at
// the top it stays at the top.
func (c *clients) keep(change func()) {
	name := ""
	if c.cursor.at > 0 && c.cursor.at < len(c.all) {
		name = c.all[c.cursor.at].Client
	}
	change()
	sortClients(c.all, c.by, c.reversed)
	if i := slices.IndexFunc(c.all, func(x *client) bool { return x.Client == name }); i >= 0 && name != "" {
		c.cursor.at = i
	}
	c.cursor.move(0, len(c.all))
}

// worker is the state of the worker whose connections are listed, or "" when it
// is gone.
func (m *model) worker() string {
	for _, w := range m.pool.Workers {
		if w.Slot == m.clients.slot && w.PID == m.clients.pid {
			return w.State
		}
	}
	return ""
}
