// Package plan puts the cells of a run in order: level by level, and at each
// level one server after another, each time starting with a different one. So
// drift (heat, neighbours, caches) affects all servers alike.
package plan

import (
	"slices"
	"time"

	"phalanx/tools/internal/record"
)

// Axis is an experiment with the servers and levels it covers.
type Axis struct {
	Experiment record.Experiment
	Servers    []string
	Levels     []int
	Rounds     int
	Only       map[string][]int // by server: the levels to which it is limited
}

// Cells lists the cells of all axes in the order in which they are measured.
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
	return !special || slices.Contains(levels, level)
}

// MostErrors is the share of failed requests, 0 to 1, above which a server is not
// measured at higher levels: the other numbers would describe the errors.
const MostErrors = 0.01

// Ended returns why a cell is skipped, or "". It is skipped if too many requests
// of the same experiment, server and round failed at a lower level.
func Ended(results []record.Result, c record.Cell) string {
	for _, r := range results {
		if r.Experiment == c.Experiment && r.Server == c.Server && r.Round == c.Round &&
			r.Level < c.Level && r.Values[record.ErrorShare] > MostErrors {
			return "too many errors at a lower level"
		}
	}
	return ""
}

// Times holds the durations of the parts of a run.
type Times struct {
	Siege time.Duration
	Load  time.Duration // of wrk and vegeta
	Crowd time.Duration // of many downloads
	Size  time.Duration // of wrk, for a file of one size
	Warm  time.Duration // before siege, wrk and vegeta; not counted
}

// ModelTimes returns the times of a run whose siege cells last the given seconds.
// The other loads are shorter: wrk and vegeta are measured in several rounds.
func ModelTimes(seconds int) Times {
	siege := time.Duration(seconds) * time.Second
	return Times{Siege: siege, Load: part(siege, 12), Crowd: part(siege, 3), Warm: warm(siege)}
}

// PeerTimes returns the times of a comparison. Its loads last a tenth of the given
// seconds, because it has many servers and rounds.
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

// Estimate returns roughly how long a cell takes.
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
