package pool

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

// TestHostileWorker makes one of two workers flood its master, each time for a second: with messages, false
// statements, descriptors, garbage, output, wake-ups and log lines. The other worker keeps serving and
// logging, the master responds with at most half of a CPU, and afterwards it has no more memory and
// descriptors than before.
func TestHostileWorker(t *testing.T) {
	t.Parallel()
	o := harness.Operated(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints,thief"), "master"),
		Args: []string{
			"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2", "-v",
			"--access-log", filepath.Join(harness.OpenDir(t), "log"),
		},
	})
	memory, files := memoryAndFiles(t, o.PID())
	asked := 0
	for _, what := range []string{"messages", "lies", "renders", "garbage", "output", "bell", "forgery", "log"} {
		asked += floodMaster(t, o, what)
	}
	const flooded = "sent more than 5000 messages within a second, killed"
	for tries := 0; !strings.Contains(o.Log.String(), flooded) && tries < 10; tries++ {
		asked += floodMaster(t, o, "messages") // a busy machine may be too slow for so many
	}
	o.Log.Await(t, 10*time.Second, "a log line for each request to the other worker", o.Exited, func(all []harness.Event) bool {
		n := 0
		for _, e := range harness.WithMessage(all, "request") {
			if e.Text("path") == "/?sibling" {
				n++
			}
		}
		return n == asked
	})
	all, _ := o.Log.All()
	if n := len(harness.WithMessage(all, "forged")); n > 0 {
		t.Errorf("%d forged log lines, want none", n)
	}
	harness.Await(t, 10*time.Second, "no more descriptors than before", func() bool {
		_, now := memoryAndFiles(t, o.PID())
		return now <= files+4
	})
	if now, _ := memoryAndFiles(t, o.PID()); now > memory+48<<20 {
		t.Errorf("the master's memory grew to %d MiB from %d, want at most 48 more", now>>20, memory>>20)
	}
	if n := strings.Count(o.Log.String(), "sandbox of workers incomplete"); n != 0 {
		t.Errorf("a false statement was logged %d times, want none", n)
	}
	if !harness.Holds(5*time.Second, func() bool { return strings.Contains(o.Log.String(), flooded) }) {
		t.Errorf("no worker was killed for flooding")
	}
	if strings.Contains(o.Log.String(), "\x1b") {
		t.Errorf("the master's log has escape sequences: %q", o.Log)
	}
	o.Stop(10 * time.Second)
}

// floodMaster makes one worker flood the master, and makes requests to the other and the master meanwhile. It
// returns the number of requests.
func floodMaster(t *testing.T, o *harness.Operator, what string) (asked int) {
	t.Helper()
	var owned map[int]*harness.Client
	for len(owned) < 2 { // the hostile worker of the previous turn may be killed only now
		o.AwaitWorkers(2)
		owned = o.OneForEach()
	}
	var hostile, sibling *harness.Client
	for _, c := range owned {
		hostile, sibling = sibling, c
	}
	if err := hostile.Send(harness.Request("GET", "/hostile/"+what)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	begin, before := time.Now(), cpu(t, o.PID())
	pace := time.NewTicker(20 * time.Millisecond) // slow enough not to use much CPU time itself
	defer pace.Stop()
	for ; time.Since(begin) < time.Second; <-pace.C {
		asked++
		if r := o.MustAsk(sibling, harness.Request("GET", "/?sibling")); string(r.Body) != "front" {
			t.Fatalf("%s: the other worker responds with %q", what, r.Body)
		}
		if p := o.Snapshot(); p.State != "serving" {
			t.Errorf("%s: the pool's state is %s, want serving", what, p.State)
		}
	}
	if used, took := cpu(t, o.PID())-before, time.Since(begin); used > took/2 {
		t.Errorf("%s: the master used %v of CPU time in %v, want at most half", what, used, took)
	}
	o.MustServe("/", "front")
	return asked
}

// cpu returns the CPU time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat := harness.Read(t, fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from field 3 on, see proc_pid_stat(5)
	return time.Duration(harness.Atoi(fields[11])+harness.Atoi(fields[12])) * (time.Second / 100)
}

// memoryAndFiles returns the resident memory of a process in bytes, and its number of descriptors.
func memoryAndFiles(t *testing.T, pid int) (memory, files int) {
	t.Helper()
	status := harness.Read(t, fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			memory = harness.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB"))) << 10
		}
	}
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return memory, len(all)
}
