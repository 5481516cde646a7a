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

// model is the state of the live view of one pool. Only Bubble Tea's goroutine uses it.
type model struct {
	fetcher *fetcher
	refresh time.Duration
	clock   func() time.Time

	width, height int
	dark          bool // background
	now           time.Time

	pool         status.Pool
	updated      time.Time // when pool was requested
	err          error     // of the latest query
	stopped      bool      // the server was draining, or has removed its socket
	fetchingPool bool      // a query for the pool is under way
	fetchingList bool      // a query for a list of connections is under way
	paused       bool

	workers sheet[status.Worker]
	clients *clients // shown instead of the workers; nil: none
	help    bool
	inNodes bool // the view of one node of several; esc goes back to them
	helpTop int  // first visible line of the help
}

func newModel(f *fetcher, refresh time.Duration, clock func() time.Time) *model {
	workers := sheet[status.Worker]{by: "#", alike: func(a, b status.Worker) int {
		switch {
		case a.Slot != b.Slot:
			return 0
		case a.PID != b.PID:
			return 1 // its successor
		}
		return 2
	}}
	return &model{fetcher: f, refresh: refresh, clock: clock, now: clock(), dark: true, workers: workers}
}

func (m *model) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, tick(m.refresh)) }

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.clock()
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(0, msg.Width), max(0, msg.Height)
	case tea.BackgroundColorMsg:
		m.dark = msg.IsDark()
	case tickMsg:
		return m, tea.Batch(tick(m.refresh), m.fetchDue())
	case poolMsg:
		m.fetchingPool = false
		m.receive(msg)
	case listMsg:
		m.receiveList(msg)
		if m.clients != nil && !m.clients.loaded && !m.fetchingList { // another worker was opened meanwhile
			return m, m.fetchList()
		}
	case tea.KeyPressMsg:
		return m, m.press(msg.String())
	}
	return m, nil
}

// fetchDue starts the queries that are due.
func (m *model) fetchDue() tea.Cmd {
	var due []tea.Cmd
	if !m.fetchingPool && !m.paused {
		due = append(due, m.fetchPool())
	}
	if m.clients != nil && !m.fetchingList && (!m.paused || !m.clients.loaded) {
		due = append(due, m.fetchList())
	}
	return tea.Batch(due...)
}

// receive handles the result of a query for the pool.
func (m *model) receive(msg poolMsg) {
	switch {
	case m.paused:
	case msg.err == nil:
		m.setPool(msg.pool, msg.began)
	default:
		m.err = msg.err
		if errors.Is(msg.err, fs.ErrNotExist) {
			m.stopped = true
		}
		if errors.Is(msg.err, syscall.ECONNREFUSED) && (m.pool.State == status.Draining || m.pool.State == status.LameDuck) {
			m.stopped = true
		}
	}
}

// setPool shows a snapshot that was requested at the given time.
func (m *model) setPool(p status.Pool, at time.Time) {
	p.History = p.History[max(0, len(p.History)-minute):]
	m.pool, m.updated, m.err, m.stopped = p, at, nil, false
	m.order()
}

// order sorts the workers.
func (m *model) order() {
	m.workers.fill(slices.Clone(m.pool.Workers), workerColumns(nil, true))
}

// selected returns the worker under the cursor, or -1, -1 if there is none.
func (m *model) selected() (slot, pid int) {
	if at := m.workers.cursor.at; at < len(m.workers.rows) {
		w := m.workers.rows[at]
		return w.Slot, w.PID
	}
	return -1, -1
}

// receiveList handles the result of a query for a list of connections, unless another
// worker is shown by now.
func (m *model) receiveList(msg listMsg) {
	m.fetchingList = false
	c := m.clients
	if c == nil || c.slot != msg.slot || c.pid != msg.pid || m.paused && c.loaded {
		return
	}
	c.loaded, c.err = true, msg.err
	if msg.err != nil {
		return
	}
	c.total = max(msg.list.Total, len(msg.list.Connections))
	c.longest, c.states = 0, make(map[string]int)
	c.fill(merge(c.rows, msg.list.Connections, msg.at), c.columns(m.width))
	for _, one := range c.rows {
		c.longest = max(c.longest, len(one.Client))
		c.states[brief(one.State)]++
	}
}

// worker returns the state of the worker whose connections are listed, "" if it has
// exited.
func (m *model) worker() string {
	for _, w := range m.pool.Workers {
		if w.Slot == m.clients.slot && w.PID == m.clients.pid {
			return w.State
		}
	}
	return ""
}
