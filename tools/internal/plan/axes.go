package plan

import (
	"slices"

	"phalanx/tools/internal/record"
)

// Scope selects a part of a run; an empty list selects all.
type Scope struct {
	Experiments []record.Experiment
	Servers     []string
	Levels      []int // users and connections
	Clients     []int // of downloads
	Rates       []int // requests per second
	Workers     []int // of start and stop
	Sizes       []int // of files, in KiB
	Rounds      int   // 0 for the experiment's default
	Quick       bool  // one round of few servers, experiments and levels
}

// Models returns the axes of a run of the models against each other.
func Models(servers []string, s Scope) []Axis {
	users := []int{1, 8, 64, 128, 256, 512}
	alone := map[string][]int{"goroutine": {1}, "serial": {1}, "process-netpoll": {}}
	return s.cut([]Axis{
		{Experiment: record.Siege, Servers: servers, Levels: users, Rounds: 1},
		{Experiment: record.KeepAlive, Servers: servers, Levels: users, Rounds: 3},
		{Experiment: record.Close, Servers: servers, Levels: users, Rounds: 3},
		{Experiment: record.Rate, Servers: servers, Levels: []int{1000, 2000, 4000, 8000}, Rounds: 3},
		{Experiment: record.Progress, Servers: servers, Levels: []int{1, 10, 100, 1000}, Rounds: 1},
		{Experiment: record.StartStop, Servers: servers, Levels: []int{1, 2, 4, 8, 16, 32, 64}, Rounds: 5, Only: alone},
	})
}

// Peers returns the axes of a comparison with other servers. The floors take part only in
// the experiments that request a page, since they send nothing else.
func Peers(all []string, s Scope) []Axis {
	const rounds = 7
	servers := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == record.FloorC || name == record.FloorGo })
	crowd := only(all, []string{record.FloorC, record.FloorGo, "process", "goroutine", "nginx", "lighttpd", "h2o"})
	quiet := map[string][]int{record.Verbose: {}}
	secure := only(servers, []string{"process", "goroutine", "nginx", "h2o"})
	three := only(servers, []string{"process", "nginx", "h2o"})
	sizes := []int{1, 4, 16, 32, 64, 128, 256, 1 << 10, 8 << 10, 64 << 10} // KiB
	return s.cut(s.quickly([]Axis{
		{Experiment: record.KeepAlive, Servers: all, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.KeepAlive, Servers: crowd, Levels: []int{512}, Rounds: rounds},
		{Experiment: record.Close, Servers: all, Levels: []int{64}, Rounds: rounds, Only: quiet},
		{Experiment: record.Close, Servers: crowd, Levels: []int{512}, Rounds: rounds},
		{Experiment: record.Download, Servers: servers, Levels: []int{4}, Rounds: rounds, Only: quiet},
		{Experiment: record.Slow, Servers: servers, Levels: []int{1000}, Rounds: rounds, Only: quiet},
		{Experiment: record.Idle, Servers: servers, Levels: []int{8000}, Rounds: rounds, Only: quiet},
		{Experiment: record.TLSKept, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.TLSFull, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.TLSResumed, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.H2One, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.H2Ten, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.H2Hundred, Servers: secure, Levels: []int{64}, Rounds: rounds},
		{Experiment: record.TLSDownload, Servers: secure, Levels: []int{4}, Rounds: rounds},
		{Experiment: record.TLSIdle, Servers: secure, Levels: []int{5000}, Rounds: rounds},
		{Experiment: record.SizeKept, Servers: three, Levels: sizes, Rounds: rounds},
		{Experiment: record.SizeClose, Servers: three, Levels: sizes, Rounds: rounds},
		{Experiment: record.TLSSizeKept, Servers: three, Levels: sizes, Rounds: rounds},
		{Experiment: record.TLSSizeClose, Servers: three, Levels: sizes, Rounds: rounds},
	}))
}

// quickly reduces a comparison to what a quick run has time for: Phalanx, two peers, a floor,
// and one of several similar experiments.
func (s Scope) quickly(axes []Axis) []Axis {
	if !s.Quick {
		return axes
	}
	servers := []string{record.FloorC, "process", "nginx", "h2o"}
	slow := []record.Experiment{record.TLSIdle, record.TLSResumed, record.H2Ten, record.H2Hundred, record.SizeClose, record.TLSSizeClose}
	var kept []Axis
	for _, a := range axes {
		crowd := (a.Experiment == record.KeepAlive || a.Experiment == record.Close) && a.Levels[0] != 64
		switch {
		case slices.Contains(s.Experiments, a.Experiment): // requested by name
		case crowd || slices.Contains(slow, a.Experiment):
			continue
		}
		if len(s.Servers) == 0 {
			a.Servers = only(a.Servers, servers)
		}
		kept = append(kept, a)
	}
	return kept
}

// Faults returns the axes of a comparison of what clients notice when workers die
// or are replaced. fasthttp-prefork has no reload.
func Faults(servers []string, s Scope) []Axis {
	const rounds = 5
	clients := []int{64}
	return s.cut([]Axis{
		{Experiment: record.KillClose, Servers: servers, Levels: clients, Rounds: rounds},
		{Experiment: record.KillKept, Servers: servers, Levels: clients, Rounds: rounds},
		{Experiment: record.Reload, Servers: servers, Levels: clients, Rounds: rounds, Only: map[string][]int{"fasthttp-prefork": {}}},
	})
}

// Costs returns the axes of what observability costs the pool.
func Costs(servers []string, s Scope) []Axis {
	const rounds = 11
	return s.cut([]Axis{{Experiment: record.KeepAlive, Servers: servers, Levels: []int{64}, Rounds: rounds}})
}

func (s Scope) cut(axes []Axis) []Axis {
	var kept []Axis
	for _, a := range axes {
		if len(s.Experiments) > 0 && !slices.Contains(s.Experiments, a.Experiment) {
			continue
		}
		if len(s.Servers) > 0 {
			a.Servers = only(a.Servers, s.Servers)
		}
		if s.Quick {
			a.Levels, a.Rounds = ends(a), 1
		}
		if levels := s.levels(a.Experiment); len(levels) > 0 {
			a.Levels = levels
		}
		if s.Rounds > 0 {
			a.Rounds = s.Rounds
		}
		if len(a.Servers) > 0 {
			kept = append(kept, a)
		}
	}
	return kept
}

// ends returns the first and the last level of an axis, and the middle one too for siege,
// the first chart of the report, and for files by size.
func ends(a Axis) []int {
	first, middle, last := a.Levels[0], a.Levels[len(a.Levels)/2], a.Levels[len(a.Levels)-1]
	switch {
	case len(a.Levels) <= 2:
		return a.Levels
	case a.Experiment == record.Siege || a.Experiment.Sized():
		return []int{first, middle, last}
	}
	return []int{first, last}
}

func (s Scope) levels(e record.Experiment) []int {
	switch e {
	case record.Siege, record.KeepAlive, record.Close, record.TLSKept, record.TLSFull, record.TLSResumed,
		record.H2One, record.H2Ten, record.H2Hundred:
		return s.Levels
	case record.Progress, record.Slow, record.Idle, record.TLSIdle, record.KillKept, record.KillClose, record.Reload:
		return s.Clients
	case record.Rate:
		return s.Rates
	case record.StartStop:
		return s.Workers
	case record.SizeKept, record.SizeClose, record.TLSSizeKept, record.TLSSizeClose:
		return s.Sizes
	}
	return nil
}

func only(all, wanted []string) []string {
	var kept []string
	for _, name := range all {
		if slices.Contains(wanted, name) {
			kept = append(kept, name)
		}
	}
	return kept
}

// Most returns the highest number of concurrent clients of all cells.
func Most(cells []record.Cell) int {
	most := 64 // of experiments whose level is something else
	for _, c := range cells {
		if c.Experiment != record.Rate && c.Experiment != record.Download && c.Experiment != record.TLSDownload && !c.Experiment.Sized() {
			most = max(most, c.Level)
		}
	}
	return most
}
