package observe

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestCounters compares the server's counters with what clients counted while workers were replaced and
// the master upgraded: they are equal, to the byte. Then it kills workers: the counters may differ by what
// was under way.
func TestCounters(t *testing.T) {
	t.Parallel()
	base := auditable(t)
	for _, args := range [][]string{{"--workers", "3"}, {"--model", "goroutine"}, {"--workers", "2", "--engine", "netpoll"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			dir := harness.Copies(t, "master", "worker")
			o := harness.Operated(t, harness.Plan{
				Binary: filepath.Join(dir, "master"), Args: append(args, "--base", base, "--access-log", filepath.Join(dir, "log")),
			})
			start := settled(o)
			w := o.Watch()
			moves := len(args) == 2 && args[0] == "--workers"
			replaceWorkers(o, newAudit(o.Port, !moves), start, moves)
			before := settled(o)
			killWorkers(o, newAudit(o.Port, false), before)
			w.StopScraping()
			if w.Count < 30 {
				t.Errorf("%d scrapes, want at least 30", w.Count)
			}
		})
	}
}

// settled returns the status once every response is counted completely: its duration is counted last.
func settled(o *harness.Operator) (p harness.Snapshot) {
	o.T.Helper()
	harness.Await(o.T, harness.ClientTimeout, "the duration of every response", func() bool {
		whole := sentWhole(o)
		p = o.Snapshot()
		return p.Total.Answered > 0 && p.Total.Answered == whole
	})
	return p
}

// sentWhole returns the number of responses that the server has sent completely.
func sentWhole(o *harness.Operator) int64 {
	o.T.Helper()
	return int64(o.MustScrape().Sum("phalanx_http_request_duration_seconds_count"))
}

// reloaded waits until all old workers have exited and as many new ones run.
func reloaded(o *harness.Operator, old []int) {
	o.T.Helper()
	harness.Await(o.T, 20*time.Second, fmt.Sprintf("new workers in place of %v", old), func() bool {
		now := o.Workers()
		return len(now) == len(old) && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
}

// replaceWorkers reloads, upgrades and, if scales, scales the pool while clients count.
func replaceWorkers(o *harness.Operator, a *audit, start harness.Snapshot, scales bool) {
	o.T.Helper()
	defer a.stop()
	n := o.Snapshot().Slots
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGUSR2, syscall.SIGHUP} {
		at, old := a.soFar(), o.Workers()
		o.Signal(sig)
		reloaded(o, old)
		harness.Await(o.T, harness.ClientTimeout, "400 more responses", func() bool { return a.soFar() > at+400 })
	}
	if scales {
		o.Order("scale", strconv.Itoa(n+2))
		o.Order("reload")
		o.Order("scale", strconv.Itoa(n-1))
	}
	a.stop()
	for _, err := range a.errs {
		o.T.Errorf("a client: %v", err)
	}
	want := map[string]int64{
		"accepted": a.conns, "bytes": a.bytes, "answered": a.total(), "whole": a.whole, "truncated": 0,
		"2xx": a.begun["2xx"], "3xx": a.begun["3xx"], "4xx": a.begun["4xx"], "5xx": a.begun["5xx"],
	}
	var got map[string]int64
	if !harness.Holds(3*time.Second, func() bool { got = since(o, start); return reflect.DeepEqual(got, want) }) {
		o.T.Errorf("the server counted %v\nclients counted %v, and %d requests without a response", got, want, a.lost)
	}
	if a.begun["5xx"] == 0 || a.begun["3xx"] == 0 || a.whole < 1500 {
		o.T.Errorf("too few responses for a meaningful result: %v", want)
	}
	o.T.Logf("%v; %d requests were sent on connections that were just closed", want, a.lost)
}

// since returns what the server has counted since a status was taken.
func since(o *harness.Operator, start harness.Snapshot) map[string]int64 {
	p, s := o.Snapshot().Total, start.Total
	got := map[string]int64{"accepted": p.Accepted - s.Accepted, "bytes": p.Bytes - s.Bytes, "answered": p.Answered - s.Answered, "truncated": p.Truncated - s.Truncated}
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		got[class] = p.Requests[class] - s.Requests[class]
	}
	// Responses before the start were complete.
	got["whole"] = sentWhole(o) - s.Answered
	return got
}

// killWorkers kills workers while clients count. What a killed worker had just sent may not be counted yet, and
// what it had counted but not sent is counted again by the worker that rescues the connection. Each is
// one send, of at most 1 MiB or of the responses to one client's pipelined requests.
func killWorkers(o *harness.Operator, a *audit, start harness.Snapshot) {
	o.T.Helper()
	defer a.stop()
	const kills, mostSent, mostReplies = 4, 1 << 20, 8
	a.expectDeaths()
	for range kills {
		at := a.soFar()
		harness.Await(o.T, 10*time.Second, "400 more responses", func() bool { return a.soFar() > at+400 })
		victim := servingWorker(o)
		harness.Kill(o.T, victim, syscall.SIGKILL)
		harness.AwaitEnd(o.T, 5*time.Second, victim)
		// Or the server could be stopped before it has noticed the death.
		harness.Await(o.T, 5*time.Second, "a status without the killed worker", func() bool {
			for _, w := range o.Snapshot().Workers {
				if w.PID == victim && w.State == "serving" {
					return false
				}
			}
			return true
		})
	}
	a.stop()
	for _, err := range a.errs {
		o.T.Errorf("a client: %v", err)
	}
	var got map[string]int64
	harness.Await(o.T, harness.ClientTimeout, "counters that stand still", func() bool {
		before := got
		got = since(o, start)
		return reflect.DeepEqual(before, got)
	})
	within := func(what string, least, most int64) {
		o.T.Helper()
		if n := got[what]; n < least || n > most {
			o.T.Errorf("%s: counted %d, want %d to %d", what, n, least, most)
		}
	}
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		within(class, a.begun[class], a.begun[class]+a.lost+kills*mostReplies)
	}
	within("answered", a.total(), a.total()+a.lost+kills*mostReplies)
	within("accepted", a.answered, a.conns)
	within("bytes", a.bytes-kills*mostSent, a.bytes+(a.lost+a.total()-a.whole)*(auditSize+1000))
	within("whole", a.whole-kills*mostReplies, a.total()+a.lost)
	o.T.Logf("%v for %d responses, %d of them complete; %d requests without a response", got, a.total(), a.whole, a.lost)
}

// servingWorker returns the pid of a worker that accepts new connections.
func servingWorker(o *harness.Operator) (pid int) {
	o.T.Helper()
	harness.Await(o.T, 15*time.Second, "a serving worker", func() bool {
		for _, w := range o.Snapshot().Workers {
			if w.State == "serving" {
				pid = w.PID
				return true
			}
		}
		return false
	})
	return pid
}
