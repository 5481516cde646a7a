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

// A quick look has the same experiments and ends within three minutes.
func TestQuick(t *testing.T) {
	servers := []string{"process", "goroutine", "serial", "process-netpoll"}
	kinds := func(axes []Axis) (all []record.Experiment) {
		for _, a := range axes {
			all = append(all, a.Experiment)
		}
		return all
	}
	whole, quick := Models(servers, Scope{}), Models(servers, Scope{Quick: true})
	if !slices.Equal(kinds(whole), kinds(quick)) {
		t.Errorf("%v are measured, and only %v quickly", kinds(whole), kinds(quick))
	}
	var sum time.Duration
	for _, c := range Cells(quick) {
		sum += ModelTimes(2).Estimate(c)
	}
	if sum > 170*time.Second {
		t.Errorf("it takes %v", sum)
	}
	if few := Models(servers, Scope{Quick: true, Levels: []int{1, 2, 3, 4}, Rounds: 2})[0]; len(few.Levels) != 4 || few.Rounds != 2 {
		t.Errorf("what was asked for is cut: %+v", few)
	}
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
