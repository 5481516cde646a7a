// Package top shows a running pool on a terminal, for `master status` and
// `master top`.
//
// [Snapshot] renders a snapshot as plain text. [Run] is the live view, a Bubble Tea
// program: messages (a tick, a key, a response of the endpoint) change a model, from which
// the screen is drawn. It queries the endpoint once a second, never twice at the same time,
// and keeps only the last responses. Text from clients is escaped by clean.
package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

// Source provides snapshots; remote.Client is one. An error that wraps fs.ErrNotExist
// or syscall.ECONNREFUSED means that no server listens.
type Source interface {
	Pool(ctx context.Context) (status.Pool, error)
	Connections(ctx context.Context, slot, pid int) (status.Connections, error)
}

// Options are the options of a view.
type Options struct {
	// Environ is the environment, "NAME=value": TERM, COLORTERM and NO_COLOR
	// decide on colours.
	Environ []string
	// Refresh is the time between two snapshots.
	Refresh time.Duration
}

// Run shows the live view on a terminal until the user quits or ctx ends; neither is an
// error. It takes the first snapshot before it touches the terminal, and returns its
// error. The terminal is always restored. Run handles no signals: the caller must end ctx
// on SIGINT, SIGTERM and SIGHUP.
func Run(ctx context.Context, source Source, in, out *os.File, o Options) error {
	first, err := source.Pool(ctx)
	if err != nil {
		return err
	}
	queries, cancel := context.WithCancel(ctx)
	m := newModel(&fetcher{ctx: queries, source: source}, o.Refresh, time.Now)
	m.setPool(first, time.Now())
	return show(ctx, m, []*model{m}, cancel, in, out, o)
}

// show runs a view on a terminal until it quits or ctx ends. cancel cancels the queries of
// its models.
func show(ctx context.Context, view tea.Model, models []*model, cancel context.CancelFunc, in, out *os.File, o Options) error {
	program := tea.NewProgram(view, tea.WithInput(in), tea.WithOutput(out),
		tea.WithEnvironment(o.Environ), tea.WithoutSignalHandler())
	// With tea.WithContext, Run would return without waiting for its reader.
	stop := context.AfterFunc(ctx, program.Quit)
	defer stop()
	_, err := program.Run()
	for _, m := range models {
		m.fetcher.stop(cancel)
	}
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) || err == nil {
		return nil
	}
	return fmt.Errorf("show the pool on the terminal: %w", err)
}

// fetcher runs queries and waits for those under way at the end: Bubble Tea runs each in a
// goroutine that it does not wait for.
type fetcher struct {
	ctx     context.Context
	source  Source
	mu      sync.Mutex // orders running.Add before or after stop
	running sync.WaitGroup
}

// begin registers a query, until running.Done. It returns false after stop.
func (f *fetcher) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return false
	}
	f.running.Add(1)
	return true
}

// stop cancels the queries under way and waits for them.
func (f *fetcher) stop(cancel context.CancelFunc) {
	f.mu.Lock()
	cancel()
	f.mu.Unlock()
	f.running.Wait()
}

// poolMsg is the result of a query for the pool.
type poolMsg struct {
	to    *model
	pool  status.Pool
	err   error
	began time.Time
}

// listMsg is the result of a query for the connections of a worker.
type listMsg struct {
	to        *model
	slot, pid int
	list      status.Connections
	err       error
	at        time.Time
}

// command returns a command that runs a query, unless the fetcher was stopped.
func (f *fetcher) command(query func() tea.Msg) tea.Cmd {
	return func() tea.Msg {
		if !f.begin() {
			return nil
		}
		defer f.running.Done()
		return query()
	}
}

// tickMsg is sent at each refresh.
type tickMsg time.Time

func (m *model) fetchPool() tea.Cmd {
	m.fetchingPool = true
	f, clock := m.fetcher, m.clock
	return f.command(func() tea.Msg {
		began := clock()
		p, err := f.source.Pool(f.ctx)
		return poolMsg{m, p, err, began}
	})
}

func (m *model) fetchList() tea.Cmd {
	m.fetchingList = true
	f, clock, slot, pid := m.fetcher, m.clock, m.clients.slot, m.clients.pid
	return f.command(func() tea.Msg {
		l, err := f.source.Connections(f.ctx, slot, pid)
		return listMsg{m, slot, pid, l, err, clock()}
	})
}

// tick returns a command that sends the next tickMsg.
func tick(refresh time.Duration) tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return tickMsg(t) })
}
