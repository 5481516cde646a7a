package admin

import (
	"math"
	"time"

	"phalanx/internal/observe/histogram"
	"phalanx/internal/observe/status"
)

// samplePool has a bit of everything: two workers that serve, one that is being replaced, one
// that died, and clients that send garbage.
func samplePool() status.Pool {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start.Add(27*time.Hour + 5*time.Minute)
	p := status.Pool{
		Version: "1.4.0", PID: 4700, Time: now, Started: start, Uptime: now.Sub(start).Seconds(), State: status.Serving, Ready: true,
		Address: "[::]:8080", Base: "/srv/www", Model: "process", Slots: 3, Reloads: 2, Window: 5,
		Rescue: status.Rescue{Workers: 2, Connections: 512, Bytes: 3 << 30, Unmovable: 1, Blamed: 2, Reset: 3, Lost: 4, GivenUp: 1, Last: 0.012, Seconds: 0.125},
	}
	p.Certificates = []status.Certificate{
		{Names: []string{"www.example.org", "example.org"}, Key: "ECDSA", NotAfter: now.Add(-90 * time.Minute), Expiring: true},
		{Names: []string{"www.example.org"}, Key: "ECDSA", NotAfter: now.Add(time.Hour), Expiring: true},
		{Names: []string{"www.example.org"}, Key: "RSA", NotAfter: now.Add(2140 * time.Hour)},
		{Names: []string{"*.<b>\u202e\xff\"\n"}, Key: "ECDSA", NotAfter: now.Add(2141 * time.Hour)},
	}
	p.Sites = []status.Site{
		{Name: "*", Base: "/srv/www", Requests: map[string]uint64{"2xx": 7, "4xx": 1}, Bytes: 1 << 20},
		{Name: "*.example.org", Base: "/srv/org", Requests: map[string]uint64{}},
	}
	p.Helper = &status.Helper{PID: 4720, Deaths: 1, Waiting: 3, Dropped: 7, Made: 1500, Digests: 40, Useless: 20, Failed: 2, Before: 45_000_000, After: 9_000_000, Kept: 8_500_000}
	p.ACME = &status.ACME{
		Hosts:  []status.Host{{Name: "www.example.org", Certified: true, Next: now.Add(time.Hour)}, {Name: "example.org", Next: now.Add(time.Minute), Failures: 3}},
		Issued: 5, Refused: 2, Unreachable: 7,
	}
	sum := map[string]uint64{}
	for slot := range 4 {
		figures := sampleFigures(uint64(slot))
		p.PerSlot = append(p.PerSlot, status.Slot{
			Slot: slot, Generations: slot + 3, Deaths: slot % 2, CPUSeconds: 1000.25 + float64(slot), Figures: figures,
		})
		for code, n := range figures.Requests {
			sum[code] += n
		}
		add(&p.Total, &figures)
	}
	p.Total.Requests = sum
	p.Total.Rate, p.Total.Bandwidth, p.Total.P50, p.Total.P99 = 12_345.6, 98.7e6, 0.000184, 0.00327
	p.Workers = sampleWorkers(now)
	for i := range 60 {
		wave := 1 + math.Sin(float64(i)/5)/3
		p.History = append(p.History, status.Point{Rate: 12_000 * wave, Bandwidth: 95e6 * wave, P99: 0.003 / wave})
	}
	p.Problems = status.Problems(&p)
	return p
}

func sampleWorkers(now time.Time) []status.Worker {
	worker := func(slot, pid int, state string, up time.Duration) status.Worker {
		w := status.Worker{Slot: slot, PID: pid, State: state, Generation: slot + 3, Deaths: slot % 2, QueueMax: 4096, Started: now.Add(-up), Uptime: up.Seconds()}
		if pid > 0 {
			w.Keeper = pid + 100
			w.CPU, w.CPUSeconds, w.Memory, w.Figures = 0.63, 812.5, 23<<20+int64(slot)<<18, sampleFigures(uint64(slot))
			w.Rate, w.P50, w.P99 = 4115.2, 0.000181, 0.0031
		}
		return w
	}
	all := []status.Worker{
		worker(0, 4711, status.WorkerServing, 26*time.Hour),
		worker(0, 4702, status.WorkerDraining, 27*time.Hour),
		worker(1, 4712, status.WorkerServing, 3*time.Minute+4*time.Second),
		worker(2, 0, status.WorkerBackoff, 0),
	}
	all[0].Queue = 3
	all[0].Oldest = &status.Request{Line: "GET /films/a-long-name-of-a-film-that-has-to-be-broken-somewhere.mp4", Age: 431.7}
	all[1].Oldest = &status.Request{Line: "GET /<script>alert(1)</script>?\u202eexe.pdf\xff&amp;", Age: 12.34}
	return all
}

func sampleFigures(n uint64) status.Figures {
	f := status.Figures{
		Requests: map[string]uint64{"2xx": 1_000_000 + n, "3xx": 20_000, "4xx": 300 + n, "5xx": n},
		Answered: 1_020_300 + 3*n, Truncated: 7, Bytes: 80 << 30, Accepted: 40_000, TakenOver: 12, TimedOut: 5, Dropped: n / 3, LogLost: 0,
		Active: 250, Idle: 180,
		Limited: map[string]uint64{"idle": 1200 + n, "head": 30, "client": 456, "rate": 2},
	}
	f.Versions = map[string]uint64{"1.0": 300, "1.1": 1_000_000 + 3*n, "2": 20_000}
	f.HTTP2 = &status.HTTP2{Streams: 12, Ended: map[string]uint64{"resets": 2, "settings": n + 1}}
	f.TLS = &status.TLS{
		Handshakes: map[string]uint64{"1.2": 100 + n, "1.3": 2000}, Resumed: 700,
		Failed: map[string]uint64{"plain_http": 5, "version": n + 1},
	}
	f.Credentials = map[string]uint64{"right": 12, "remembered": 3400 + n, "wrong": 5, "limited": 60, "busy": 7}
	for i := range f.Latency {
		f.Latency[i] = uint64(histogram.Buckets-i) * (1 + n)
	}
	f.LatencySeconds = 123.5
	return f
}

func add(to, f *status.Figures) {
	to.Answered += f.Answered
	to.Truncated += f.Truncated
	to.Bytes += f.Bytes
	to.Accepted += f.Accepted
	to.TakenOver += f.TakenOver
	to.TimedOut += f.TimedOut
	to.Dropped += f.Dropped
	to.Limited = f.Limited
	to.TLS, to.HTTP2, to.Versions, to.Credentials = f.TLS, f.HTTP2, f.Versions, f.Credentials
	to.Active += f.Active
	to.Idle += f.Idle
}
