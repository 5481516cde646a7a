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

// TestHostile has one of two workers turn on its master: each time for a second it sends messages,
// lies, descriptors, nonsense, output, wake-ups, and lines of the log as fast as it can. Its
// sibling serves on and each of its requests is logged, the master answers, uses no more
// than half of a CPU meanwhile, and has no more memory and descriptors afterwards.
func TestHostile(t *testing.T) {
	t.Parallel()
	o := harness.Operated(t, harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints,thief"), "master"),
		Args: []string{
			"--base", harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "2", "-v",
			"--access-log", filepath.Join(harness.OpenDir(t), "log"),
		},
	})
	memory, files := held(t, o.PID())
	asked := 0
	for _, what := range []string{"messages", "lies", "renders", "garbage", "output", "bell", "forgery", "log"} {
		asked += turnsOn(t, o, what)
	}
	o.Log.Await(t, 10*time.Second, "the requests of siblings in the log", o.Exited, func(all []harness.Event) bool {
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
		t.Errorf("%d lines are forged", n)
	}
	harness.Await(t, 10*time.Second, "as few descriptors as before", func() bool {
		_, now := held(t, o.PID())
		return now <= files+4
	})
	if now, _ := held(t, o.PID()); now > memory+48<<20 {
		t.Errorf("the master has %d MiB, and had %d", now>>20, memory>>20)
	}
	if n := strings.Count(o.Log.String(), "sandbox of workers incomplete"); n != 0 {
		t.Errorf("a lie was repeated %d times", n)
	}
	if !strings.Contains(o.Log.String(), "sent more than 5000 messages within a second, killed") {
		t.Errorf("no worker was killed for its messages")
	}
	if strings.Contains(o.Log.String(), "\x1b") {
		t.Errorf("the master has repeated what a terminal would obey: %q", o.Log)
	}
	o.Stop(10 * time.Second)
}

// turnsOn makes one worker an enemy, and asks the other and the master meanwhile. It
// returns how often it has asked.
func turnsOn(t *testing.T, o *harness.Operator, what string) (asked int) {
	t.Helper()
	o.AwaitWorkers(2)
	var enemy, sibling *harness.Client
	for _, c := range o.OneForEach() {
		enemy, sibling = sibling, c
	}
	if err := enemy.Send(harness.Request("GET", "/hostile/"+what)); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	begin, before := time.Now(), cpu(t, o.PID())
	pace := time.NewTicker(20 * time.Millisecond) // so that not the test makes the master work
	defer pace.Stop()
	for ; time.Since(begin) < time.Second; <-pace.C {
		asked++
		if r := o.MustAsk(sibling, harness.Request("GET", "/?sibling")); string(r.Body) != "front" {
			t.Fatalf("%s: the sibling answers %q", what, r.Body)
		}
		if p := o.Look(); p.State != "serving" {
			t.Errorf("%s: the pool is %s", what, p.State)
		}
	}
	if used, took := cpu(t, o.PID())-before, time.Since(begin); used > took/2 {
		t.Errorf("%s: the master used %v of CPU time within %v", what, used, took)
	}
	o.MustServe("/", "front")
	return asked
}

// cpu returns the CPU time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from the third on, see proc_pid_stat(5)
	return time.Duration(harness.Atoi(fields[11])+harness.Atoi(fields[12])) * (time.Second / 100)
}

// held returns the resident memory of a process in bytes, and how many descriptors it has.
func held(t *testing.T, pid int) (memory, files int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
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
