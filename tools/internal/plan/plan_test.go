package plan

import (
	"slices"
	"testing"
	"time"

	"phalanx/tools/internal/record"
)

func TestCellsInterleave(t *testing.T) {
	cells := Cells([]Axis{{
		Experiment: record.Siege, Servers: []string{"a", "b", "c"}, Levels: []int{1, 8}, Rounds: 2,
		Only: map[string][]int{"c": {8}},
	}})
	var got []string
	for _, c := range cells {
		got = append(got, string(rune('0'+c.Round))+c.Server+string(rune('0'+c.Level)))
	}
	want := []string{"1a1", "1b1", "1b8", "1c8", "1a8", "2a1", "2b1", "2a8", "2b8", "2c8"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The floors take part in experiments with pages only, and no cell is measured twice.
func TestFloors(t *testing.T) {
	all := []string{record.FloorC, "process", "nginx", "caddy"}
	seen := make(map[record.Cell]bool)
	for _, c := range Cells(Peers(all, Scope{Levels: []int{8}})) {
		if seen[c] {
			t.Errorf("%v is measured twice", c)
		}
		seen[c] = true
		if c.Server == record.FloorC && c.Experiment != record.KeepAlive && c.Experiment != record.Close {
			t.Errorf("the floor is measured at %s", c.Experiment)
		}
	}
	crowds := make(map[string]int)
	for _, c := range Cells(Peers(all, Scope{Rounds: 1})) {
		if c.Experiment == record.Close {
			crowds[c.Server] += c.Level
		}
	}
	if crowds[record.FloorC] != 64+512 || crowds["process"] != 64+512 || crowds["caddy"] != 64 {
		t.Errorf("connections, in all: %v", crowds)
	}
}

// A quick run has the same experiments and takes less than three minutes.
func TestQuickRun(t *testing.T) {
	servers := []string{"process", "goroutine", "serial", "process-netpoll"}
	kinds := func(axes []Axis) (all []record.Experiment) {
		for _, a := range axes {
			all = append(all, a.Experiment)
		}
		return all
	}
	whole, quick := Models(servers, Scope{}), Models(servers, Scope{Quick: true})
	if !slices.Equal(kinds(whole), kinds(quick)) {
		t.Errorf("a full run measures %v, a quick one only %v", kinds(whole), kinds(quick))
	}
	within(t, quick, ModelTimes(2))
	if few := Models(servers, Scope{Quick: true, Levels: []int{1, 2, 3, 4}, Rounds: 2})[0]; len(few.Levels) != 4 || few.Rounds != 2 {
		t.Errorf("explicit options are ignored: %+v", few)
	}
}

// within checks that a quick run takes at most two minutes and a half by the estimates.
// The documents promise three minutes, and the estimates assume an idle machine.
func within(t *testing.T, axes []Axis, times Times) {
	t.Helper()
	var sum time.Duration
	for _, c := range Cells(axes) {
		sum += times.Estimate(c)
	}
	if sum > 150*time.Second || sum < 60*time.Second {
		t.Errorf("%d cells take %v", len(Cells(axes)), sum)
	}
	t.Logf("%d cells, %v", len(Cells(axes)), sum)
}

// A quick comparison has the floor, pages, downloads, TLS and sizes.
func TestQuickPeers(t *testing.T) {
	all := []string{record.FloorC, record.FloorGo, "process", "process-netpoll", "goroutine", record.Verbose, "nginx", "lighttpd", "h2o", "caddy", "net/http"}
	quick := Peers(all, Scope{Quick: true})
	within(t, quick, PeerTimes(2))
	for _, e := range []record.Experiment{record.KeepAlive, record.Close, record.Download, record.Idle, record.TLSKept, record.H2One, record.SizeKept, record.TLSSizeKept} {
		if !slices.ContainsFunc(quick, func(a Axis) bool { return a.Experiment == e && slices.Contains(a.Servers, "nginx") }) {
			t.Errorf("the plan lacks %s", e)
		}
	}
	asked := Scope{Quick: true, Experiments: []record.Experiment{record.H2Ten}, Servers: []string{"goroutine"}}
	if got := Cells(Peers(all, asked)); len(got) != 1 || got[0].Server != "goroutine" {
		t.Errorf("explicit options are ignored: %v", got)
	}
}

// A full comparison takes at most three hours, and its sizes at most half of them.
func TestPeersEnd(t *testing.T) {
	all := []string{record.FloorC, record.FloorGo, "process", "process-netpoll", "goroutine", record.Verbose, "nginx", "lighttpd", "h2o",
		"apache-event", "apache-prefork", "caddy", "net/http", "fasthttp", "fasthttp-prefork"}
	var sum, sizes time.Duration
	for _, c := range Cells(Peers(all, Scope{})) {
		d := PeerTimes(60).Estimate(c)
		sum += d
		if c.Experiment.Sized() {
			sizes += d
		}
	}
	if sum > 3*time.Hour || sizes > sum/2 {
		t.Errorf("the comparison takes %v, its sizes %v", sum, sizes)
	}
	t.Logf("%v, of which sizes %v", sum, sizes)
}

func TestEnded(t *testing.T) {
	results := []record.Result{{
		Cell:   record.Cell{Experiment: record.Siege, Server: "a", Level: 64, Round: 1},
		Values: map[record.Metric]float64{record.ErrorShare: 0.02},
	}}
	for _, c := range []struct {
		cell record.Cell
		ends bool
	}{
		{record.Cell{Experiment: record.Siege, Server: "a", Level: 128, Round: 1}, true},
		{record.Cell{Experiment: record.Siege, Server: "a", Level: 8, Round: 1}, false},
		{record.Cell{Experiment: record.Siege, Server: "b", Level: 128, Round: 1}, false},
		{record.Cell{Experiment: record.Close, Server: "a", Level: 128, Round: 1}, false},
	} {
		if why := Ended(results, c.cell); (why != "") != c.ends {
			t.Errorf("%v: %q, want an end: %v", c.cell, why, c.ends)
		}
	}
}

func TestTimes(t *testing.T) {
	if got, want := ModelTimes(60), (Times{Siege: 60 * time.Second, Load: 5 * time.Second, Crowd: 20 * time.Second, Warm: 2 * time.Second}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := PeerTimes(60).Load; got != 6*time.Second {
		t.Errorf("a comparison's load lasts %v", got)
	}
	if got := ModelTimes(1).Load; got != time.Second {
		t.Errorf("the shortest load lasts %v", got)
	}
}
