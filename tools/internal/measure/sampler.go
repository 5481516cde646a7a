package measure

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"phalanx/tools/internal/proctree"
	"phalanx/tools/internal/record"
	"phalanx/tools/internal/stats"
)

// sampler samples a server's processes while it is under load.
type sampler struct {
	reader  proctree.Reader
	root    int
	before  proctree.Usage
	busy    float64
	whole   float64 // with interrupts
	self    float64
	begin   time.Time
	quit    chan struct{}
	joined  sync.WaitGroup
	pss     int64
	idle    int64           // PSS before the load
	sockets map[int]float64 // sum over the samples, by pid
	empty   map[int]int     // before the load, by pid
	count   float64
}

// watch starts to sample the process tree below root. The first sample comes
// soon, for short cells. The pause before each later one keeps the cost of
// sampling below a twentieth of a core.
func watch(reader proctree.Reader, root int) (*sampler, error) {
	s := &sampler{
		reader: reader, root: root, quit: make(chan struct{}),
		sockets: make(map[int]float64), empty: make(map[int]int),
	}
	var err error
	if s.before, err = reader.Tree(root); err != nil {
		return nil, err
	}
	reader.CountSockets(s.before)
	for _, p := range s.before.Processes {
		s.empty[p.PID] = p.Sockets
	}
	s.idle = reader.PSS(s.before)
	if s.busy, s.whole, err = reader.Busy(); err != nil {
		return nil, err
	}
	s.self, s.begin = selfCPU(), time.Now()
	s.joined.Go(s.loop)
	return s, nil
}

func (s *sampler) loop() {
	for pause := 300 * time.Millisecond; ; {
		select {
		case <-s.quit:
			return
		case <-time.After(pause):
		}
		begin := time.Now()
		s.sample()
		pause = max(500*time.Millisecond, 20*time.Since(begin))
	}
}

func (s *sampler) sample() {
	u, err := s.reader.Tree(s.root)
	if err != nil {
		return // the server exited; the load reports that
	}
	s.pss = max(s.pss, s.reader.PSS(u))
	s.reader.CountSockets(u)
	s.count++
	for _, p := range u.Processes {
		s.sockets[p.PID] += float64(p.Sockets - s.empty[p.PID])
	}
}

// end stops sampling and adds the samples to a result. client is the CPU time
// of the load generator in seconds, without that of this process.
func (s *sampler) end(r *record.Result, client float64) error {
	after, treeErr := s.reader.Tree(s.root)
	busy, whole, busyErr := s.reader.Busy()
	self, took := selfCPU()-s.self, time.Since(s.begin).Seconds()
	s.stop()
	if err := errors.Join(treeErr, busyErr); err != nil {
		return err
	}
	if s.count == 0 {
		s.sample()
	}
	cpu := after.CPU() - s.before.CPU()
	voluntary, involuntary := after.Switches()
	v0, i0 := s.before.Switches()
	r.Values[record.CPU] = cpu
	r.Values[record.Whole] = max(0, whole-s.whole)
	r.Values[record.PSS] = float64(max(s.pss, s.idle))
	r.Values[record.PSSIdle] = float64(s.idle)
	r.Values[record.Voluntary] = max(0, voluntary-v0)
	r.Values[record.Involuntary] = max(0, involuntary-i0)
	r.Values[record.Others] = max(0, busy-s.busy-cpu-client-self) / took
	s.workers(r, after)
	return nil
}

// stop stops sampling without a result.
func (s *sampler) stop() {
	close(s.quit)
	s.joined.Wait()
}

// workers adds the share of each worker, which is each process but the root.
func (s *sampler) workers(r *record.Result, after proctree.Usage) {
	const most = 64 // a pool of a thousand processes is not listed one by one
	started := make(map[int]float64)
	for _, p := range s.before.Processes {
		started[p.PID] = p.CPU
	}
	var cpu, connections []float64
	for _, p := range after.Processes[1:] {
		w := record.Worker{CPU: round(p.CPU-started[p.PID], 3), Connections: round(s.sockets[p.PID]/max(1, s.count), 2)}
		r.Workers = append(r.Workers, w)
		cpu = append(cpu, w.CPU)
		connections = append(connections, max(0, w.Connections))
	}
	if len(r.Workers) > most {
		r.Workers = nil
	}
	if len(cpu) > 1 {
		set(r.Values, record.UnevenCPU, stats.Uneven(cpu))
		set(r.Values, record.Uneven, stats.Uneven(connections))
	}
}

// selfCPU returns the CPU time of this process in seconds.
func selfCPU() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
