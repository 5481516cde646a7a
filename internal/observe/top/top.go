// Package top shows a running pool on a terminal, for `master status` and
// `master top`.
//
// [Snapshot] is one look as plain text. [Run] is the live view, a Bubble Tea
// program: messages (a tick, a key, an answer of the endpoint) change a model,
// and the model is drawn from nothing but itself. It looks once a second, one
// look at a time, and draws only the rows that are seen; what it keeps is
// bounded by the last answers. What clients say is made harmless in clean.
package top

import (
	"cmp"
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
	// Refresh is the time between two snapshots; 0 is a second.
	Refresh time.Duration
}

// Run shows the live view on a terminal until the user quits or ctx ends; both
// are not an error. It takes the first snapshot before it touches the terminal, and
// returns its error. The terminal is always restored. Run
// handles no signals: end ctx at SIGINT, SIGTERM and SIGHUP.
func Run(ctx context.Context, source Source, in, out *os.File, o Options) error {
	if o.Refresh <= 0 {
		o.Refresh = time.Second
	}
	first, err := source.Pool(ctx)
	if err != nil {
		return err
	}
	looks, cancel := context.WithCancel(ctx)
	owned := &owner{ctx: looks, source: source}
	m := newModel(owned, o.Refresh, time.Now)
	m.take(first, time.Now())
	err = show(ctx, m, in, out, o)
	owned.end(cancel)
	return ending(ctx, err, m.broken)
}

// show runs a model on a terminal until it quits or ctx ends.
func show(ctx context.Context, m tea.Model, in, out *os.File, o Options) error {
	program := tea.NewProgram(m, tea.WithInput(in), tea.WithOutput(out),
		tea.WithEnvironment(o.Environ), tea.WithoutSignalHandler())
	// It could be given ctx, but then does not wait for its reader at the end.
	forget := context.AfterFunc(ctx, program.Quit)
	defer forget()
	_, err := program.Run()
	return err
}

// ending is the error with which a view ends; broken is a mistake in it.
func ending(ctx context.Context, err, broken error) error {
	err = cmp.Or(err, broken)
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) || err == nil {
		return nil
	}
	return fmt.Errorf("show the pool on the terminal: %w", err)
}

// owner makes looks and knows of those under way: Bubble Tea makes a goroutine
// for each and leaves it behind when it ends.
type owner struct {
	ctx     context.Context
	source  Source
	mu      sync.Mutex // running.Add and the end exclude each other
	running sync.WaitGroup
}

// begin says whether a look may still be made; running.Done ends it.
func (o *owner) begin() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx.Err() != nil {
		return false
	}
	o.running.Add(1)
	return true
}

// end stops the looks under way and waits for them.
func (o *owner) end(cancel context.CancelFunc) {
	o.mu.Lock()
	cancel()
	o.mu.Unlock()
	o.running.Wait()
}

// looked is an answer about the pool.
type looked struct {
	pool  status.Pool
	err   error
	began time.Time
}

// listed is an answer about the connections of a worker.
type listed struct {
	slot, pid int
	list      status.Connections
	err       error
	at        time.Time
}

// broke is a panic in a look.
type broke struct{ err error }

// command is a look, unless the end has come. A panic becomes a message: the view
// ends as it does otherwise, and the terminal is as it was.
func (o *owner) command(look func() tea.Msg) tea.Cmd {
	return func() (m tea.Msg) {
		if !o.begin() {
			return nil
		}
		defer o.running.Done()
		defer func() {
			if p := recover(); p != nil {
				m = broke{fmt.Errorf("panic: %v", p)}
			}
		}()
		return look()
	}
}

// ticked comes once for each refresh.
type ticked time.Time

func (m *model) look() tea.Cmd {
	m.looking = true
	o, clock := m.owner, m.clock
	return o.command(func() tea.Msg {
		began := clock()
		p, err := o.source.Pool(o.ctx)
		return looked{p, err, began}
	})
}

func (m *model) list() tea.Cmd {
	m.listing = true
	o, clock, slot, pid := m.owner, m.clock, m.clients.slot, m.clients.pid
	return o.command(func() tea.Msg {
		l, err := o.source.Connections(o.ctx, slot, pid)
		return listed{slot, pid, l, err, clock()}
	})
}

// tick is the next one.
func tick(refresh time.Duration) tea.Cmd {
	return tea.Tick(refresh, func(t time.Time) tea.Msg { return ticked(t) })
}
