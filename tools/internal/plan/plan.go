// Package plan puts the cells of a run into their order: level by level, and
// at each level the servers one after the other, another one first each
// time. What drifts (heat, neighbours, caches) then falls on all alike.
package plan

import (
	"time"

	"phalanx/tools/internal/record"
)

// Axis is an experiment with what it varies.
type Axis struct {
	Experiment record.Experiment
	Servers    []string
	Levels     []int
	Rounds     int
	Only       map[string][]int // levels of a server that has others than Levels
}

// Cells lists the cells of all axes in the order of measuring.
func Cells(axes []Axis) []record.Cell {
	var cells []record.Cell
	listed := make(map[record.Cell]bool) // two axes may have a cell in common
	for _, a := range axes {
		turn := 0
		for round := 1; round <= a.Rounds; round++ {
			for _, level := range a.Levels {
				for i := range a.Servers {
					server := a.Servers[(i+turn)%len(a.Servers)]
					c := record.Cell{Experiment: a.Experiment, Server: server, Level: level, Round: round}
					if a.takes(server, level) && !listed[c] {
						listed[c] = true
						cells = append(cells, c)
					}
				}
				turn++
			}
		}
	}
	return cells
}

func (a Axis) takes(server string, level int) bool {
	levels, special := a.Only[server]
	if !special {
		return true
	}
	for _, l := range levels {
		if l == level {
			return true
		}
	}
	return false
}

// MostErrors is the share of failed requests from which a server's column
// ends: beyond it the other numbers describe the errors.
const MostErrors = 0.01

// Ended returns why a cell is not to be measured, because at a lower level
// of the same column too many requests failed, or "".
func Ended(results []record.Result, c record.Cell) string {
	for _, r := range results {
		if r.Experiment == c.Experiment && r.Server == c.Server && r.Round == c.Round &&
			r.Level < c.Level && r.Values[record.ErrorShare] > MostErrors {
			return "too many errors at a lower level"
		}
	}
	return ""
}

// Times is how long the parts of a run last.
type Times struct {
	Siege time.Duration
	Load  time.Duration // of wrk and vegeta
	Crowd time.Duration // of many downloads
	Size  time.Duration // of wrk, for a file of one size
	Warm  time.Duration // before siege, wrk and vegeta; not counted
}

// ModelTimes are those of a run whose siege cells last the given seconds. The
// other loads are shorter: wrk and vegeta are measured in several rounds.
func ModelTimes(seconds int) Times {
	siege := time.Duration(seconds) * time.Second
	return Times{Siege: siege, Load: part(siege, 12), Crowd: part(siege, 3), Warm: warm(siege)}
}

// PeerTimes are those of a comparison: many servers and rounds, so a tenth.
func PeerTimes(seconds int) Times {
	load := part(time.Duration(seconds)*time.Second, 10)
	return Times{Siege: load, Load: load, Crowd: load, Size: part(load, 6), Warm: warm(load)}
}

func part(d time.Duration, of int) time.Duration {
	return max(time.Second, (d / time.Duration(of)).Round(time.Second))
}

func warm(load time.Duration) time.Duration {
	return min(2*time.Second, max(time.Second, (load/30).Round(time.Second)))
}

// Estimate is about how long a cell takes, for the time left.
func (t Times) Estimate(c record.Cell) time.Duration {
	const around = 600 * time.Millisecond // start, stop, samples
	switch c.Experiment {
	case record.SizeKept, record.SizeClose, record.TLSSizeKept, record.TLSSizeClose:
		return around + time.Second + t.Size
	case record.Siege:
		return around + t.Warm + t.Siege
	case record.StartStop:
		return around + time.Duration(c.Level)*10*time.Millisecond
	case record.Download, record.TLSDownload:
		return around + time.Duration(c.Level)*700*time.Millisecond
	case record.Idle:
		return around + 4*time.Second
	case record.TLSIdle:
		return around + 18*time.Second
	case record.Slow, record.Progress:
		return around + t.Crowd
	default:
		return around + t.Warm + t.Load
	}
}
