package top

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"phalanx/internal/observe/status"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// source returns what the test sets.
type source struct {
	pool        func() (status.Pool, error)
	connections func(slot, pid int) (status.Connections, error)
}

func (s *source) Pool(context.Context) (status.Pool, error) { return s.pool() }

func (s *source) Connections(_ context.Context, slot, pid int) (status.Connections, error) {
	return s.connections(slot, pid)
}

// bench is a model with a clock and a source that a test sets.
type bench struct {
	*model
	t   *testing.T
	now time.Time
	src *source
}

func newBench(t *testing.T, p status.Pool, width, height int) *bench {
	b := &bench{t: t, now: noon, src: &source{}}
	b.src.pool = func() (status.Pool, error) { return p, nil }
	b.src.connections = func(slot, pid int) (status.Connections, error) { return status.Connections{}, nil }
	b.model = newModel(&fetcher{ctx: t.Context(), source: b.src}, time.Second, func() time.Time { return b.now })
	b.setPool(p, b.now)
	b.send(tea.WindowSizeMsg{Width: width, Height: height})
	return b
}

// send passes a message, and then the results of the queries that follow from it.
func (b *bench) send(msg tea.Msg) {
	b.t.Helper()
	_, cmd := b.Update(msg)
	b.run(cmd)
}

func (b *bench) run(cmd tea.Cmd) {
	b.t.Helper()
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case tea.BatchMsg:
		for _, c := range msg {
			b.run(c)
		}
	case poolMsg, listMsg:
		b.send(msg)
	}
}

// wait advances the clock, and then refreshes.
func (b *bench) wait(d time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(d)
	b.Update(tea.FocusMsg{}) // any message brings the time
	b.run(b.fetchDue())
}

func (b *bench) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.run(b.model.press(k))
	}
}

// screen returns the screen without styles, and checks that it fits.
func (b *bench) screen() []string {
	b.t.Helper()
	return b.fitting(b.View().Content)
}

// fitting returns the lines of a screen without styles, and checks that they fit.
func (b *bench) fitting(content string) []string {
	b.t.Helper()
	if content == "" {
		return nil
	}
	lines := strings.Split(content, "\n")
	if len(lines) > b.height {
		b.t.Fatalf("%d lines in a window of %dx%d:\n%s", len(lines), b.width, b.height, content)
	}
	for i, l := range lines {
		if ansi.StringWidth(l) > b.width || ansi.StringWidthWc(l) > b.width {
			b.t.Fatalf("line %d has %d cells in a window of %dx%d: %q", i, ansi.StringWidth(l), b.width, b.height, l)
		}
		lines[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return lines
}

func (b *bench) sees(text string) bool {
	b.t.Helper()
	return strings.Contains(strings.Join(b.screen(), "\n"), text)
}

func (b *bench) expect(texts ...string) {
	b.t.Helper()
	for _, s := range texts {
		if !b.sees(s) {
			b.t.Errorf("%q is not on the screen:\n%s", s, strings.Join(b.screen(), "\n"))
		}
	}
}

// aPool returns a pool with the given number of workers: one that drains, one without a
// process, and others that serve.
func aPool(workers int) status.Pool {
	p := status.Pool{
		Version: "1.4.0", PID: 4242, Time: noon, Started: noon.Add(-76 * time.Hour), Uptime: 76 * 3600, State: status.Serving, Ready: true,
		Address: "*:8080", Base: "/srv/www", Model: "process", Slots: workers, Reloads: 2, Window: 5,
		Total: status.Figures{
			Requests: map[string]uint64{"2xx": 1_234_567, "3xx": 40_000, "4xx": 321, "5xx": 2}, Answered: 1_274_890,
			Bytes: 84_200_000_000, Accepted: 98_765, Truncated: 3, TimedOut: 1, Active: 1234, Idle: 1000,
			Rate: 12_345, Bandwidth: 84.2e6, P50: 0.0008, P99: 0.012,
		},
	}
	for i := range 60 {
		p.History = append(p.History, status.Point{Rate: float64(i * 300), Bandwidth: float64(i) * 2e6, P99: 0.012})
	}
	for i := range workers {
		w := status.Worker{
			Slot: i, PID: 1_204_242 + i, State: status.WorkerServing, Generation: 3, Deaths: i % 2, Started: noon.Add(-time.Duration(i+1) * 7 * time.Hour), Uptime: float64(i+1) * 7 * 3600,
			Heartbeat: 0.2, Queue: i % 3, QueueMax: 4096, CPU: 0.1 * float64(i%10), Memory: int64(30e6 + 1e6*i),
		}
		w.Requests, w.Answered = map[string]uint64{"2xx": uint64(1000 * i)}, uint64(1000*i)
		w.Rate, w.Bandwidth, w.P50, w.P99 = float64(100*(i*7%11)), 1e6*float64(i), 0.0005, 0.001*float64(1+i%5)
		w.Active, w.Idle = 100+i, 10
		p.Workers = append(p.Workers, w)
	}
	if workers > 2 {
		p.Workers[0].State, p.Workers[0].Left = status.WorkerDraining, 4_700_000_000
		p.Workers[0].Oldest = &status.Request{Line: "GET /big\u202e\x1b[2J.iso", Age: 372}
		p.Workers[2] = status.Worker{Slot: 2, State: status.WorkerBackoff, Generation: 7, Deaths: 6}
	}
	for i := range p.Workers {
		p.Deaths += p.Workers[i].Deaths
	}
	return p
}

// aList returns a list of n connections. Each third one downloads.
func aList(slot, pid, n int) status.Connections {
	l := status.Connections{Slot: slot, PID: pid, Total: n}
	for i := range n {
		c := status.Connection{Client: fmt.Sprintf("192.0.2.%d:%d", i%251, 1024+i), State: status.ConnIdle, Age: float64(i % 97)}
		if i%3 == 0 {
			c.State, c.Line, c.Size, c.Sent = status.ConnSending, fmt.Sprintf("GET /file-%d.iso", i), int64(1e6*(i+1)), int64(1000*i)
		}
		l.Connections = append(l.Connections, c)
	}
	return l
}
