package top

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"phalanx/internal/observe/status"
)

// errGone is the error of a node that does not respond.
var errGone = errors.New("admin endpoint web-3:9090: connection refused; start the server with --admin web-3:9090")

// three returns two nodes that serve and one that does not respond.
func three() []NodeStatus {
	second := aPool(2)
	second.Version, second.Total.Rate, second.Total.P99 = "1.5.0", 55, 0.5
	second.Problems = []status.Problem{{Severity: status.Warning, Text: "1 worker died since the start; the log says why"}}
	return []NodeStatus{{Name: "web-1:9090", Pool: aPool(4)}, {Name: "web-2:9090", Pool: second}, {Name: "web-3:9090", Err: errGone}}
}

func TestNodesSnapshot(t *testing.T) {
	got := NodesSnapshot(three(), 100)
	want, err := os.ReadFile("testdata/nodes-100.txt")
	if err != nil || got != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
	}
	for line := range strings.Lines(NodesSnapshot(three(), 40)) {
		if textWidth(strings.TrimSuffix(line, "\n")) > 40 {
			t.Errorf("%q", line)
		}
	}
}

// Nodes without requests in the window have no latency, and no bound of it.
func TestIdleNodesHaveNoLatency(t *testing.T) {
	if got := NodesSnapshot([]NodeStatus{{Name: "web-3:9090", Err: errGone}}, 100); !strings.Contains(got, ", p99 -\n") {
		t.Error(got)
	}
}

func TestUnreachable(t *testing.T) {
	if err := Unreachable(three()[:2]); err != nil {
		t.Error(err)
	}
	err := Unreachable(three())
	if want := "1 of 3 nodes did not respond: " + errGone.Error(); err == nil || err.Error() != want || !errors.Is(err, errGone) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestNodesJSON(t *testing.T) {
	var b bytes.Buffer
	if err := NodesJSON(&b, three()); err != nil {
		t.Fatal(err)
	}
	var back []struct {
		Admin, Error string
		Pool         *status.Pool
	}
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back) != 3 {
		t.Fatalf("%v: %s", err, b.String())
	}
	if back[1].Admin != "web-2:9090" || back[1].Pool.Version != "1.5.0" || back[1].Error != "" {
		t.Errorf("the second is %+v", back[1])
	}
	if back[2].Pool != nil || back[2].Error != errGone.Error() {
		t.Errorf("the third is %+v", back[2])
	}
}

// crowd is a live view of three nodes. The test sets their responses.
type crowd struct {
	*nodes
	t       *testing.T
	answers []NodeStatus
}

func newCrowd(t *testing.T, width, height int) *crowd {
	c := &crowd{t: t, answers: three()}
	var all []Node
	for i := range c.answers {
		all = append(all, Node{Name: c.answers[i].Name, Source: &source{
			pool: func() (status.Pool, error) { return c.answers[i].Pool, c.answers[i].Err },
			connections: func(slot, pid int) (status.Connections, error) {
				return aList(slot, pid, 3), nil
			},
		}})
	}
	c.nodes = newNodes(t.Context(), all, time.Second, func() time.Time { return noon })
	c.setStatuses(QueryAll(t.Context(), all))
	c.run(func() tea.Msg { return tea.WindowSizeMsg{Width: width, Height: height} })
	return c
}

// run runs a command and those that follow from it, except for the ticks.
func (c *crowd) run(cmd tea.Cmd) {
	c.t.Helper()
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, next := range msg {
			c.run(next)
		}
	default:
		_, next := c.Update(msg)
		c.run(next)
	}
}

// fetch queries every node once.
func (c *crowd) fetch() {
	c.t.Helper()
	for _, m := range c.models {
		c.run(m.fetchDue())
	}
}

func (c *crowd) press(keys ...string) {
	c.t.Helper()
	for _, k := range keys {
		c.run(c.nodes.press(k))
	}
}

func (c *crowd) expect(texts ...string) {
	c.t.Helper()
	b := bench{model: &model{width: c.width, height: c.height}, t: c.t}
	lines := strings.Join(b.fitting(c.View().Content), "\n")
	for _, s := range texts {
		if !strings.Contains(lines, s) {
			c.t.Errorf("%q is not on the screen:\n%s", s, lines)
		}
	}
}

func TestNodes(t *testing.T) {
	c := newCrowd(t, 100, 24)
	c.expect("2 of 3 nodes ready", "12400 req/s", "p99 at most 500ms", "web-1:9090", "unreachable", "web-3:9090: connection refused", "web-2:9090: 1 worker died", "enter open the node")
	c.press("down", "enter")
	c.expect("Phalanx 1.5.0", "esc nodes", "2 of 2 serving")
	c.press("enter")
	c.expect("GET /file-0.iso")
	c.press("esc")
	c.expect("esc nodes")
	c.press("esc")
	c.expect("▶web-2:9090")
	c.answers[2] = NodeStatus{Name: "web-3:9090", Pool: aPool(1)}
	c.answers[0].Err = context.DeadlineExceeded
	c.fetch()
	c.expect("2 of 3 nodes ready", "web-1:9090: no response")
	c.press("s") // by state: what needs an operator first
	if first := c.table.rows[0].Name; first != "web-1:9090" {
		t.Errorf("%s comes first", first)
	}
	c.expect("▶web-2:9090") // the cursor stays with its node
	for _, size := range [][2]int{{40, 10}, {16, 3}, {15, 3}, {80, 4}, {250, 70}} {
		c.run(func() tea.Msg { return tea.WindowSizeMsg{Width: size[0], Height: size[1]} })
		c.expect("")
	}
}

func TestNodesPaused(t *testing.T) {
	c := newCrowd(t, 100, 24)
	c.press("p")
	c.answers[0].Pool.State, c.answers[0].Pool.Ready = status.Draining, false
	c.fetch()
	c.expect("PAUSED", "2 of 3 nodes ready")
	c.press("p")
	c.fetch()
	c.expect("1 of 3 nodes ready", "draining")
	c.press("enter", "p", "esc") // in the view of one node
	c.expect("PAUSED")
	c.press("p")
	if slices.ContainsFunc(c.models, func(m *model) bool { return m.paused }) {
		t.Error("a node is still paused")
	}
}

// The view of several nodes restores the terminal in whatever way it ends. It does not begin
// without any response.
func TestRunNodes(t *testing.T) {
	keyboard, tty, s := terminal(t)
	all := []Node{{"web-1:9090", &source{pool: func() (status.Pool, error) { return aPool(4), nil }}}, {"web-3:9090", &source{pool: func() (status.Pool, error) { return status.Pool{}, errGone }}}}
	result := make(chan error, 1)
	o := Options{Environ: []string{"TERM=xterm-256color"}, Refresh: 10 * time.Millisecond}
	go func() { result <- RunNodes(t.Context(), all, tty, tty, o) }()
	s.await(t, "unreachable")
	keyboard.WriteString("q")
	if err := <-result; err != nil {
		t.Error(err)
	}
	s.await(t, "\x1b[?1049l")
	if err := RunNodes(t.Context(), all[1:], tty, tty, o); !errors.Is(err, errGone) {
		t.Errorf("without any response: %v", err)
	}
}
