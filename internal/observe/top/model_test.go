package top

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		w, h int
		want []string
	}{
		{80, 24, []string{"● serving", "12345 req/s", "p99 12ms", "max 17700", "CONN/IDLE", "GEN/D", "backoff", "q quit", "worker 0", "up 3d04h", "truncated 3, timed out 1", "█"}},
		{120, 40, []string{"OLDEST REQUEST", `6m12s GET /big\u202e\x1b[2J.iso`, "p50 800µs p99 12ms", "2xx 1,234,567"}},
		{250, 70, []string{"OLDEST REQUEST", "4.70 GB left to send"}},
		{40, 12, []string{"● serving", "draining", "12345 req/s"}},
		{20, 5, []string{"● serving  12345/s", "draining", "REQ/S", "q quit"}},
		{16, 3, []string{"● serving", "q quit"}},
		{15, 3, []string{"terminal too", "small"}},
		{80, 2, []string{"terminal too small"}},
		{1, 1, []string{"…"}},
	} {
		b := newBench(t, aPool(4), c.w, c.h)
		b.expect(c.want...)
		if got := b.screen(); len(got) > c.h {
			t.Errorf("%d lines at %dx%d", len(got), c.w, c.h)
		}
	}
	if got := newBench(t, aPool(4), 0, 0).screen(); got != nil {
		t.Errorf("a window of no size shows %q", got)
	}
}

// slots returns the slots in the order of the screen.
func (b *bench) slots() string {
	var s []string
	for _, w := range b.workers.rows {
		s = append(s, fmt.Sprint(w.Slot))
	}
	return strings.Join(s, " ")
}

func TestSortWorkers(t *testing.T) {
	b := newBench(t, aPool(5), 80, 24) // rates 0, 700, none, 1000, 600
	for _, c := range []struct {
		keys, by, mark, want string
	}{
		{"", "#", "▼#", "0 1 2 3 4"},
		{"r", "#", "▲#", "4 3 2 1 0"},
		{"r", "#", "▼#", "0 1 2 3 4"},
		{"s s", "STATE", "▼STATE", "2 0 1 3 4"},
		{"> > >", "REQ/S", "▼REQ/S", "3 1 4 0 2"},
		{"<", "CONN/IDLE", "▼CONN/IDLE", "4 3 1 0 2"},
		{"< < < < <", "GEN/D", "▼GEN/D", "2 1 3 0 4"},
		{"s", "#", "▼#", "0 1 2 3 4"},
	} {
		b.press(strings.Fields(c.keys)...)
		if b.workers.by != c.by || b.slots() != c.want {
			t.Errorf("after %q by %s: %s, want by %s: %s", c.keys, b.workers.by, b.slots(), c.by, c.want)
		}
		b.expect(c.mark)
	}
}

// Every state of a worker has its place in the order by state, and its help.
func TestStatesAreKnown(t *testing.T) {
	for _, state := range []string{
		status.WorkerServing, status.WorkerStarting, status.WorkerDraining, status.WorkerKilled, status.WorkerQuarantined, status.WorkerBackoff,
	} {
		if severity(status.Worker{State: state}) < 0 {
			t.Errorf("%s has no severity", state)
		}
		if state != status.WorkerServing && !strings.Contains(helpText, "\n  "+state+" ") {
			t.Errorf("the help does not explain %s", state)
		}
	}
}

// The cursor stays with its worker in any order, and moves to the worker that replaces it.
func TestCursorStaysWithWorker(t *testing.T) {
	p := aPool(5)
	b := newBench(t, p, 80, 24)
	b.press("down", "j", "j") // slot 3
	b.press("r")
	b.expect("▶3 ", "worker 3: serving")
	p.Workers[3].PID = 99
	b.src.pool = func() (status.Pool, error) { return p, nil }
	b.wait(time.Second)
	b.expect("▶3 ", " 99 ")
	b.press("end")
	b.expect("worker 0: draining")
	b.press("home", "up")
	b.expect("worker 4: serving")
	p = aPool(2)
	b.wait(time.Second)
	b.expect("▶1 ")
}

func TestManyWorkersScroll(t *testing.T) {
	b := newBench(t, aPool(200), 80, 24)
	if b.sees(" 150 ") {
		t.Error("row 150 is visible at the start")
	}
	for range 150 {
		b.press("j")
	}
	b.expect("▶150 ", "worker 150: serving")
	b.press("G")
	b.expect("▶199 ")
	b.press("pgup", "pgup")
	b.expect("worker 167: serving")
}

func TestPause(t *testing.T) {
	p := aPool(3)
	b := newBench(t, p, 80, 24)
	queries := 0
	b.src.pool = func() (status.Pool, error) { queries++; p.Total.Rate = 777; return p, nil }
	b.press("p")
	b.wait(time.Second)
	b.expect("PAUSED", "p resume", "12345 req/s")
	if queries != 0 {
		t.Errorf("%d queries while paused", queries)
	}
	b.Update(poolMsg{pool: p}) // one that was under way
	b.expect("12345 req/s")
	b.press("enter") // the list that is asked for is looked at once
	b.expect("no connections")
	b.press("esc", "space")
	b.expect("777 req/s", "p pause")
	if queries != 1 || b.sees("PAUSED") {
		t.Errorf("%d queries after the pause", queries)
	}
}

func TestOneLookAtATime(t *testing.T) {
	b := newBench(t, aPool(3), 80, 24)
	if _, cmd := b.Update(tickMsg(noon)); cmd == nil || !b.fetchingPool {
		t.Fatal("a tick starts no query")
	}
	if b.fetchDue() != nil {
		t.Error("a second query is started while one is under way")
	}
	b.Update(poolMsg{err: errors.New("x")})
	if b.fetchDue() == nil {
		t.Error("no query after a failure")
	}
}

func TestNotAnswering(t *testing.T) {
	p := aPool(3)
	b := newBench(t, p, 80, 24)
	plain := b.View().Content
	broken := error(fmt.Errorf("admin endpoint 127.0.0.1:9180: %w; start it", syscall.ECONNREFUSED))
	b.src.pool = func() (status.Pool, error) { return p, broken }
	b.wait(3 * time.Second)
	b.expect("no response for 3 s: admin endpoint 127.0.0.1:9180: connection refused", "retrying", "12345 req/s")
	if b.View().Content == plain || !strings.Contains(b.View().Content, "\x1b[2m") {
		t.Error("old numbers are not dimmed")
	}
	b.wait(4 * time.Second)
	b.expect("for 7 s")
	broken = nil
	b.wait(time.Second)
	if b.sees("no response") {
		t.Error("the numbers are still dimmed after a response")
	}

	p.State = status.Draining
	b.wait(time.Second)
	broken = fmt.Errorf("x: %w", syscall.ECONNREFUSED)
	b.wait(time.Second)
	b.expect("server stopped")
	p.State, broken = status.Serving, nil
	b.wait(time.Second)
	b.expect("q quit", "● serving")
	broken = fmt.Errorf("x: %w", fs.ErrNotExist) // the server has removed its socket
	b.wait(time.Second)
	b.expect("server stopped")
}

func TestErrorsAreHarmless(t *testing.T) {
	b := newBench(t, aPool(3), 80, 5)
	b.src.pool = func() (status.Pool, error) {
		return status.Pool{}, errors.New("a\nb\x1b[2J" + strings.Repeat("long ", 100))
	}
	b.wait(time.Second)
	b.expect(`a\x0ab\x1b[2J`)
}

func TestHelp(t *testing.T) {
	b := newBench(t, aPool(3), 80, 60)
	b.press("?")
	b.expect("Keys", "powers of 1000", "esc back")
	for _, l := range b.screen() {
		if strings.HasSuffix(l, ellipsis) {
			t.Errorf("too long for eighty cells: %q", l)
		}
	}
	b.send(tea.WindowSizeMsg{Width: 80, Height: 10})
	if b.sees("powers of 1000") {
		t.Error("ten lines show the end")
	}
	b.press("G")
	b.expect("powers of 1000")
	b.press("home")
	b.expect("Keys")
	b.press("q") // back, not out
	b.expect("● serving")
}

func TestQuit(t *testing.T) {
	b := newBench(t, aPool(3), 80, 24)
	for _, k := range []string{"q", "ctrl+c"} {
		cmd := b.model.press(k)
		if cmd == nil {
			t.Fatalf("%s does nothing", k)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", k)
		}
	}
}

func TestColours(t *testing.T) {
	b := newBench(t, aPool(4), 80, 24)
	dark := b.View().Content
	b.send(tea.BackgroundColorMsg{})
	b.dark = false
	if b.View().Content == dark {
		t.Error("a light background has the colours of a dark one")
	}
	if !b.View().AltScreen {
		t.Error("the view is not on the alternate screen")
	}
}
