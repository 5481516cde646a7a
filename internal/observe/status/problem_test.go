package status

import (
	"slices"
	"testing"
	"time"
)

// A healthy pool has no problems: an empty list in JSON.
func TestNoProblems(t *testing.T) {
	p := Pool{State: Serving, Workers: []Worker{{State: WorkerServing, QueueMax: 4096}, {Slot: 1, State: WorkerDraining}}}
	if got := Problems(&p); got == nil || len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// What affects clients now comes first.
func TestProblems(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := Pool{
		State: Serving, Time: now,
		Workers: []Worker{
			{Slot: 0, State: WorkerBackoff, Deaths: 1},
			{Slot: 1, State: WorkerQuarantined, Deaths: 12},
			{Slot: 2, State: WorkerStarting, Queue: 2048, QueueMax: 4096},
			{Slot: 3, PID: 4711, State: WorkerKilled, Killed: 40},
			{Slot: 4, PID: 4712, State: WorkerKilled, Killed: 1, Heartbeat: 40},
		},
		Deaths: 13,
		Certificates: []Certificate{
			{Names: []string{"a.example"}, NotAfter: now.Add(-time.Hour)},
			{Names: []string{"b.example"}, NotAfter: now.Add(50 * time.Hour), Expiring: true},
			{Names: []string{"c.example"}, NotAfter: now.Add(5000 * time.Hour)},
		},
		ACME: &ACME{Hosts: []Host{
			{Name: "d.example", Certified: true, Next: now.Add(20 * time.Minute), Failures: 1, Problem: "certificate for d.example refused"},
			{Name: "e.example", Next: now.Add(-time.Second), Failures: 1, Problem: "certificate for e.example refused"},
			{Name: "f.example"},
			{Name: "g.example", Next: now.Add(time.Hour)},
			{Name: "h.example", Next: now.Add(time.Minute)},
		}},
		Failed: "reload: no such flag; keeping the current workers",
		Faults: []string{"access log: no space left on device"},
		Total:  Figures{Dropped: 1, Requests: map[string]uint64{"5xx": 2}, LogLost: 3},
		Rescue: Rescue{Blamed: 4, GivenUp: 1},
	}
	want := []Problem{
		{Error, "no worker is serving"},
		{Error, "slot 1 is quarantined after 12 deaths; fix the cause, then reload"},
		{Error, "worker 3 (pid 4711) was killed and has not exited; check the disk that it waits for"},
		{Error, "the certificate of a.example has expired; renew it"},
		{Error, "certificate for e.example refused; next attempt in 0 s"},
		{Error, "no certificate for g.example; next attempt in 1 h 0 min"},
		{Warning, "slot 0 has no worker after 1 death; the next one starts soon"},
		{Warning, "the accept queue of slot 2 holds 2,048 of 4,096 connections"},
		{Warning, "reload: no such flag; keeping the current workers"},
		{Warning, "access log: no space left on device"},
		{Warning, "the certificate of b.example expires in 2 d 2 h; renew it"},
		{Warning, "certificate for d.example refused; next attempt in 20 min 0 s"},
		{Warning, "1 connection dropped for lack of descriptors or memory; raise the limit of open files"},
		{Warning, "2 responses with a status of 500 or more since the start"},
		{Warning, "13 workers died since the start; the log says why"},
		{Warning, "4 connections of dead workers could not be rescued"},
		{Warning, "1 dead worker whose connections could not be rescued"},
		{Warning, "3 access log lines lost; its disk was full or slow, or its reader was slow"},
	}
	if got := Problems(&p); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
