package snapshot

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"phalanx/internal/h2"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
	"phalanx/internal/proxyproto"
	"phalanx/internal/supervise"
	"phalanx/internal/tlsconn"
)

const (
	windowMax  = 10 // seconds that rates and latencies cover
	historyMax = 60 // seconds of history for the charts
)

// sample is all counters at one moment.
type sample struct {
	at      time.Time
	total   scoreboard.Totals
	workers map[int]figures // by pid
}

// figures are the counters of one process.
type figures struct {
	scoreboard.Totals
	cpu float64 // seconds
}

// Look takes a snapshot. An error means that the supervisor's loop does not
// respond.
func (o *Observer) Look() (status.Pool, error) {
	p, s, err := o.look()
	if err != nil {
		return p, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.compare(&p, s)
	p.History = slices.Clone(o.history)
	p.Problems = status.Problems(&p)
	return p, nil
}

// addReports adds what other parts of the master report: certificates, ACME, the helper
// and faults.
func (o *Observer) addReports(p *status.Pool) {
	if o.Certificates != nil {
		p.Certificates = o.Certificates()
	}
	if o.ACME != nil {
		p.ACME = o.ACME()
	}
	if o.Helper != nil {
		p.Helper = o.Helper()
	}
	if o.Refused != nil {
		p.Faults = o.Refused()
	}
	if fault := o.Log.Fault(); fault != "" {
		p.Faults = append(p.Faults, fault)
	}
}

// look takes a snapshot without what is computed from earlier samples.
func (o *Observer) look() (p status.Pool, s sample, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	used := make(map[int]process)
	view, err := o.Controller.View(ctx, func(pid int) { used[pid] = read(o.proc, pid) })
	if err != nil {
		return p, s, fmt.Errorf("query the pool: %w", err)
	}
	info, reading, now := o.Info(), o.Board.Read(), o.now()
	p = status.Pool{
		Version: info.Version, Address: info.Address, Base: info.Base, Model: info.Model, PID: os.Getpid(),
		Time: now, Started: o.Started, Uptime: read(o.proc, os.Getpid()).uptime(o.Started, now), State: view.State, Ready: view.State == status.Serving,
		Slots: view.Slots, Reloads: view.Reloads, Failed: view.Failed, Rescue: view.Rescue,
	}
	o.addReports(&p)
	o.addSites(&p, info)
	s = sample{at: now, workers: make(map[int]figures)}
	mono := monotonic()
	cpu := make(map[int]float64) // of a slot's running processes
	slotted, all := make(map[int]open), open{}
	for _, v := range view.Workers {
		w, holds := o.worker(v, used[v.PID], reading, now, mono)
		w.Deaths = view.Totals[v.Slot].Deaths
		if w.PID != 0 {
			f := figures{cpu: w.CPUSeconds}
			if t := reading.Rows[v.Row]; t != nil {
				f.Totals = *t
			}
			s.workers[w.PID] = f
		}
		cpu[w.Slot] += w.CPUSeconds
		slotted[w.Slot], all = slotted[w.Slot].plus(holds), all.plus(holds)
		p.Workers = append(p.Workers, w)
	}
	s.total = addSlots(&p, view, reading, slotted, cpu)
	p.Total = figuresOf(&s.total, all)
	p.Total.LogLost = o.Log.Lost()
	return p, s, nil
}

// addSlots adds the counters of current and former slots, and returns their sum. cpu is the CPU
// time of a slot's running processes.
func addSlots(p *status.Pool, view supervise.View, reading scoreboard.Reading, slotted map[int]open, cpu map[int]float64) (total scoreboard.Totals) {
	for _, slot := range slots(view, reading) {
		sum := reading.Slots[slot]
		if sum == nil {
			sum = new(scoreboard.Totals)
		}
		past := view.Totals[slot]
		p.PerSlot = append(p.PerSlot, status.Slot{
			Slot: slot, Generations: past.Generations, Deaths: past.Deaths, CPUSeconds: past.CPU.Seconds() + cpu[slot],
			Figures: figuresOf(sum, slotted[slot]),
		})
		p.Deaths += past.Deaths
		total.Add(sum)
	}
	return total
}

// addSites adds the counters of the sites, if there are several.
func (o *Observer) addSites(p *status.Pool, info Info) {
	if len(info.Sites) == 0 {
		return
	}
	counted := o.Board.Sites()
	for _, s := range info.Sites {
		t := counted[s.Name]
		p.Sites = append(p.Sites, status.Site{Name: s.Name, Base: s.Base, Requests: classes(t.Requests), Bytes: t.Bytes})
	}
}

// classes returns numbers of requests by class of status code.
func classes(n [6]uint64) map[string]uint64 {
	return map[string]uint64{"1xx": n[1], "2xx": n[2], "3xx": n[3], "4xx": n[4], "5xx": n[5]}
}

// open counts what is open at one moment.
type open struct{ connections, idle, streams int }

func (o open) plus(p open) open {
	return open{o.connections + p.connections, o.idle + p.idle, o.streams + p.streams}
}

// worker describes one process, without rates and quantiles, and what it has open.
func (o *Observer) worker(v supervise.WorkerView, is process, reading scoreboard.Reading, now time.Time, mono int64) (w status.Worker, holds open) {
	w = v.Worker
	if v.PID == 0 {
		return w, holds
	}
	w.CPUSeconds, w.Memory, w.Uptime = is.cpu, is.memory, is.uptime(w.Started, now)
	if s, ok := o.Board.Look(v.Row); ok {
		holds = open{s.Active, s.Idle, s.Streams}
		if w.State == status.WorkerServing || w.State == status.WorkerStarting { // otherwise its options may be outdated
			w.Stale = s.Stale
		}
		if s.Beat > 0 {
			w.Heartbeat = time.Duration(mono - s.Beat).Seconds()
		}
		if s.OldestAt > 0 {
			w.Oldest = &status.Request{Line: string(s.Oldest), Age: time.Duration(mono - s.OldestAt).Seconds()}
		}
	}
	if t := reading.Rows[v.Row]; t != nil {
		w.Figures = figuresOf(t, holds)
	}
	return w, holds
}

// slots lists current and former slots.
func slots(view supervise.View, reading scoreboard.Reading) []int {
	all := make(map[int]bool)
	for slot := range reading.Slots {
		all[slot] = true
	}
	for slot := range view.Totals {
		all[slot] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// figuresOf returns counters and what is open, without rates and quantiles.
func figuresOf(t *scoreboard.Totals, holds open) status.Figures {
	return status.Figures{
		Active: holds.connections, Idle: holds.idle,
		Requests: classes(t.Requests),
		Versions: map[string]uint64{"1.0": t.Versions[0], "1.1": t.Versions[1], "2": t.Versions[2]},
		Answered: t.Answered(), Truncated: t.Truncated, Bytes: t.Bytes, Accepted: t.Accepted, TakenOver: t.TakenOver,
		TimedOut: t.TimedOut, Dropped: t.Dropped, Releases: t.Releases, Denied: t.Denied, Copied: t.Copied,
		Limited: counted[scoreboard.Limit](t.Limited[:], true), Unproxied: counted[proxyproto.Reason](t.Unproxied[:proxyproto.NumReasons], false),
		Credentials: credentials(t), TLS: handshakes(t), HTTP2: http2(t, holds.streams),
		Latency: t.Latency, LatencySeconds: time.Duration(t.LatencyNanos).Seconds(),
	}
}

// counted returns counters by name, the String of their index. Counters that are zero are
// left out unless zeros is true.
func counted[I interface {
	~uint8
	String() string
}](counters []uint64, zeros bool) map[string]uint64 {
	all := make(map[string]uint64)
	for i, n := range counters {
		if n > 0 || zeros {
			all[I(i).String()] = n
		}
	}
	return all
}

// credentials returns nil if none were checked.
func credentials(t *scoreboard.Totals) map[string]uint64 {
	if t.Checked == ([scoreboard.NumChecked]uint64{}) {
		return nil
	}
	return counted[scoreboard.Checked](t.Checked[:], true)
}

// handshakes returns nil if there were none.
func handshakes(t *scoreboard.Totals) *status.TLS {
	s := &status.TLS{
		Handshakes: map[string]uint64{"1.2": t.Handshakes[0], "1.3": t.Handshakes[1]},
		Resumed:    t.Resumed, Failed: counted[tlsconn.Reason](t.Unsecured[:tlsconn.NumReasons], false),
	}
	if s.Completed() == 0 && len(s.Failed) == 0 {
		return nil
	}
	return s
}

// http2 returns nil if no client has used HTTP/2.
func http2(t *scoreboard.Totals, streams int) *status.HTTP2 {
	s := &status.HTTP2{Streams: streams, Ended: counted[h2.Reason](t.Misused[:h2.NumReasons], false)}
	if t.Versions[2] == 0 && len(s.Ended) == 0 {
		return nil
	}
	return s
}

// compare adds rates and quantiles since the oldest sample.
func (o *Observer) compare(p *status.Pool, s sample) {
	if len(o.samples) == 0 {
		return
	}
	before := o.samples[0]
	seconds := s.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return
	}
	p.Window = seconds
	since(&p.Total, &s.total, &before.total, seconds)
	for i := range p.Workers {
		w := &p.Workers[i]
		now, ok := s.workers[w.PID]
		if !ok {
			continue
		}
		was, known := before.workers[w.PID]
		took := seconds
		if !known { // started since
			took = min(seconds, max(s.at.Sub(w.Started).Seconds(), 0.001))
		}
		since(&w.Figures, &now.Totals, &was.Totals, took)
		w.CPU = max(0, now.cpu-was.cpu) / took
	}
}

// since fills in rates and quantiles.
func since(f *status.Figures, now, was *scoreboard.Totals, seconds float64) {
	if now.Answered() < was.Answered() {
		was = new(scoreboard.Totals) // another process with the same pid
	}
	f.Rate = float64(now.Answered()-was.Answered()) / seconds
	f.Bandwidth = max(0, float64(now.Bytes)-float64(was.Bytes)) / seconds
	latency := now.Latency.Since(&was.Latency)
	f.P50, f.P99 = latency.Quantile(0.5).Seconds(), latency.Quantile(0.99).Seconds()
}

// sample records a sample for later comparison. A pool that does not respond
// leaves a gap.
func (o *Observer) sample() {
	_, s, err := o.look()
	if err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.samples); n > 0 {
		var f status.Figures
		last := o.samples[n-1]
		if seconds := s.at.Sub(last.at).Seconds(); seconds > 0 {
			since(&f, &s.total, &last.total, seconds)
		}
		o.history = append(o.history, status.Point{Rate: f.Rate, Bandwidth: f.Bandwidth, P99: f.P99})
	}
	o.samples = append(o.samples, s)
	o.samples = slices.Delete(o.samples, 0, max(0, len(o.samples)-windowMax-1))
	o.history = slices.Delete(o.history, 0, max(0, len(o.history)-historyMax))
}
