package rescue

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var (
	killFor = flag.Duration("kill.for", 6*time.Second, "minimum time for which each test kills workers; every point is reached in any case")
	killOne = flag.Int("kill.one", 2000, "each point kills its worker one time in this many")
)

var killedAt = regexp.MustCompile(`died(?: while draining)?: killed by SIGKILL(?:: killed at point (\w+))?`)

// killed starts a server whose workers are killed at random at the marked points between their
// stores and system calls.
func killed(t *testing.T, oneIn, movingOneIn int, args ...string) *harness.Server {
	t.Helper()
	return harness.ServeSilently(t, killing(t, oneIn, movingOneIn, args...))
}

func killing(t *testing.T, oneIn, movingOneIn int, args ...string) harness.Plan {
	t.Helper()
	return harness.Plan{
		Binary: filepath.Join(harness.Tagged(t, "killpoints"), "master"),
		Env:    []string{fmt.Sprintf("KILL_ONE_IN=%d", oneIn), fmt.Sprintf("KILL_MOVING_ONE_IN=%d", movingOneIn)},
		Args:   append([]string{"--base", tree(t)}, args...),
	}
}

// over reports whether a test has run for long enough and a worker was killed at each of the
// named points. On a busy machine rare points take longer: up to two more minutes.
func over(s *harness.Server, began time.Time, names string) bool {
	const more = 2 * time.Minute
	if time.Since(began) < *killFor {
		return false
	}
	_, lines := s.Log.All()
	seen := map[string]bool{}
	for _, line := range lines {
		if m := killedAt.FindStringSubmatch(line); m != nil {
			seen[m[1]] = true
		}
	}
	missing := slices.ContainsFunc(strings.Fields(names), func(name string) bool { return !seen[name] })
	return !missing || time.Since(began) > *killFor+more
}

// points counts the deaths at each point, and reports which of the named points have none, and log
// lines that are not about deaths and rescues. The point is "" if the master did not read the dead
// worker's last line.
func points(t *testing.T, s *harness.Server, names string) (at map[string]int, deaths int) {
	t.Helper()
	at = map[string]int{}
	_, lines := s.Log.All()
	for _, line := range lines {
		m := killedAt.FindStringSubmatch(line)
		switch {
		case m != nil:
			at[m[1]]++
			deaths++
		case strings.Contains(line, " rescued ") && !strings.Contains(closedWhy.ReplaceAllString(line, ""), "; "), strings.Contains(line, " died during startup: killed by SIGKILL: killed at point "),
			strings.Contains(line, "upgrade: still waiting, because "): // for half a minute
		default:
			t.Errorf("unexpected line on standard error: %s", line)
		}
	}
	for _, point := range strings.Fields(names) {
		if at[point] == 0 {
			t.Errorf("no worker was killed at point %q", point)
		}
	}
	t.Logf("%d deaths: %v", deaths, at)
	return at, deaths
}

// TestKilledAtEveryPoint kills workers at every marked point while clients of every kind use the
// server: no client notices.
func TestKilledAtEveryPoint(t *testing.T) {
	const names = "commit committed copied done held state accepted receive received send sent file close closed taken"
	s := killed(t, *killOne, 100, "--workers", "3")
	c := newCrowd(t, s.Port, 6)
	for began := time.Now(); !over(s, began, names); {
		<-time.After(100 * time.Millisecond)
	}
	c.report()
	if at, _ := points(t, s, names); at[""] > 0 {
		t.Errorf("%d deaths at an unknown point", at[""])
	}
}

// TestKilledInHandovers kills workers while they hand connections over, in one reload after
// another.
func TestKilledInHandovers(t *testing.T) {
	s := killed(t, 10**killOne, 20, "--workers", "2")
	c, rng := newCrowd(t, s.Port, 3), rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	const names = "give given from taken"
	for began := time.Now(); !over(s, began, names); {
		s.Signal(syscall.SIGHUP)
		<-time.After(harness.Between(rng, 50*time.Millisecond, time.Second))
	}
	c.report()
	points(t, s, names)
}

// TestKilledInUpgrades kills workers while they hand connections over, in one upgrade of the master
// after another.
func TestKilledInUpgrades(t *testing.T) {
	s := killed(t, 10**killOne, 20, "--workers", "2")
	c, rng := newCrowd(t, s.Port, 3), rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	const names = "give given from taken"
	for began := time.Now(); !over(s, began, names); {
		s.Signal(syscall.SIGUSR2)
		<-time.After(harness.Between(rng, 50*time.Millisecond, 1500*time.Millisecond))
	}
	c.report()
	points(t, s, names)
	// On a busy machine workers may have been replaced all the time, and an upgrade waits for that.
	harness.Await(t, 20*time.Second, "an upgrade of the master", func() bool { return upgraded(s.PID()) })
}

// upgraded reports whether a master reads its signals from a signalfd, as one does after an
// upgrade.
func upgraded(pid int) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil && strings.Contains(file, "signalfd") {
			return true
		}
	}
	return false
}
