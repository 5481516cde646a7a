package observe

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"phalanx/e2e/harness"
)

// master returns the path of the master binary.
func master() string { return harness.Binary("master") }

// watch runs `master top` in a pane, followed by its exit status, and waits until it shows a pool.
func (p *pane) watch(e *harness.Endpoint) {
	p.t.Helper()
	p.write(master() + " top --interval 200ms --admin " + e.Addr + `; echo "top ended with $?"`)
	p.awaitText("serving")
}

// line is a worker's row in top's table, at a width of 80 cells.
type line struct {
	slot, pid              int
	state                  string
	active, idle           int
	rate, CPU              float64
	memory                 string
	p50, p99, queue, lives string
}

// lines reads the table of workers.
func lines(screen string) []line {
	var all []line
	for row := range strings.Lines(screen) {
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(row), "▶"))
		if len(f) < 13 || strings.Trim(f[0], "0123456789") != "" || f[1] != "-" && harness.Atoi(f[1]) <= 0 {
			continue
		}
		l := line{slot: harness.Atoi(f[0]), pid: harness.Atoi(f[1]), state: f[2], p50: f[7], p99: f[8], queue: f[9], memory: f[11], lives: f[12]}
		// Slots without a worker have dashes instead.
		fmt.Sscanf(f[4], "%d/%d", &l.active, &l.idle)
		l.rate, _ = strconv.ParseFloat(f[5], 64)
		l.CPU, _ = strconv.ParseFloat(f[10], 64)
		all = append(all, l)
	}
	return all
}

// awaitLines waits until the table satisfies ok, and returns it.
func (p *pane) awaitLines(what string, ok func([]line) bool) []line {
	p.t.Helper()
	return lines(p.await(what, func(screen string) bool { return ok(lines(screen)) }))
}

// load sends requests on each client's connection until stop is called, and then closes it.
func load(s *harness.Server, clients map[int]*harness.Client) (stop func()) {
	s.T.Helper()
	quit := make(chan struct{})
	var joined sync.WaitGroup
	for _, c := range clients {
		joined.Go(func() {
			defer c.Close()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-quit:
					return
				case <-tick.C:
				}
				if err := c.SetDeadline(time.Now().Add(harness.ClientTimeout)); err != nil {
					return
				}
				if _, err := c.Ask(harness.Request("GET", "/")); err != nil {
					return // its worker was killed
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(quit); joined.Wait() })
}

// TestTop shows a pool under light load on a terminal of 80 by 24 cells, sorts its table and pauses.
func TestTop(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "3")
	quiet := load(s, s.OneForEach())
	defer quiet()
	p := openPane(t, 80, 24)
	before := p.state()
	p.watch(e)
	rows := p.awaitLines("three busy workers", func(all []line) bool {
		return len(all) == 3 && !slices.ContainsFunc(all, func(l line) bool { return l.rate < 8 || l.rate > 100 || l.CPU > 50 || l.active == 0 })
	})
	workers := s.Workers()
	for i, l := range rows {
		if l.slot != i || !slices.Contains(workers, l.pid) || l.state != "serving" || l.active < 1 || l.idle > l.active ||
			!strings.HasSuffix(l.memory, "M") || l.queue != "0" || l.lives != "1/0" || l.p50 == "-" || l.p99 == "-" {
			t.Errorf("row %d is %+v; the workers are %v", i, l, workers)
		}
	}
	p.sorts()
	p.pauses(e)
	p.press("q")
	p.awaitText("top ended with 0")
	if after := p.state(); after != before {
		t.Errorf("terminal state after top:\n%+v\nwant\n%+v", after, before)
	}
	quiet()
	s.Stop(5 * time.Second)
}

// sorts presses the keys that sort the table.
func (p *pane) sorts() {
	p.t.Helper()
	marked := regexp.MustCompile(`▼([A-Z0-9#%/]+)`)
	var seen []string
	mark := "#"
	for range 20 {
		seen = append(seen, mark)
		p.press("s")
		last := mark
		p.await("a sort mark in another column than "+last, func(screen string) bool {
			m := marked.FindStringSubmatch(screen)
			if m != nil {
				mark = m[1]
			}
			return m != nil && mark != last
		})
		if mark == "#" {
			break
		}
	}
	if want := []string{"#", "PID", "STATE", "UP", "CONN/IDLE", "REQ/S", "MB/S", "P50", "P99", "QUEUE", "CPU%", "MEM", "GEN/D"}; !slices.Equal(seen, want) {
		p.t.Errorf("top sorts by the columns %q, want %q", seen, want)
	}
	slots := func(all []line) (n []int) {
		for _, l := range all {
			n = append(n, l.slot)
		}
		return n
	}
	p.press("r")
	p.awaitLines("the slots in reverse order", func(all []line) bool { return slices.Equal(slots(all), []int{2, 1, 0}) })
	p.press("r", "S") // by the column before the first: the last
	p.awaitText("▼GEN/D")
	p.press("s")
	p.awaitLines("the slots in order", func(all []line) bool { return slices.Equal(slots(all), []int{0, 1, 2}) })
}

// pauses pauses the display while the pool keeps serving.
func (p *pane) pauses(e *harness.Endpoint) {
	p.t.Helper()
	p.press("p")
	var held string
	harness.Await(p.t, 10*time.Second, "a paused display that is complete", func() bool {
		before := held
		held = p.shows()
		return held == before && strings.Contains(held, "PAUSED")
	})
	answered := e.Pool().Total.Answered
	harness.Await(p.t, 10*time.Second, "150 more requests", func() bool { return e.Pool().Total.Answered > answered+150 })
	if now := p.shows(); now != held {
		p.t.Errorf("the paused display changed from\n%s\nto\n%s", held, now)
	}
	p.press("p")
	p.await("an updated display", func(screen string) bool { return screen != held && !strings.Contains(screen, "PAUSED") })
}

// takeSlowly reads 128 KiB every 10 ms until quit is closed.
func takeSlowly(d *harness.Download, taken sync.Locker, quit <-chan struct{}) error {
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		select {
		case <-quit:
			return nil
		default:
		}
		taken.Lock()
		d.Renew()
		err := d.Take(128 << 10)
		taken.Unlock()
		if err != nil {
			return err
		}
	}
}

// TestTopConnections shows the connections of a worker while one of its clients downloads slowly.
func TestTopConnections(t *testing.T) {
	t.Parallel()
	const size = 600 << 20
	base := harness.Tree(t, map[string]string{"index.html": "front"})
	harness.Sparse(t, filepath.Join(base, "big.iso"), size)
	s, e := harness.ServeWithAdmin(t, base, "--workers", "1", "--keepalive", "10m")
	idle := s.Dial()
	s.MustAsk(idle, harness.Request("GET", "/"))
	slow := s.Begin("/big.iso?with=a+query", 64<<10)
	var taken sync.Mutex
	quit, done := make(chan struct{}), make(chan error, 1)
	p := openPane(t, 80, 24)
	p.watch(e)
	p.press("Enter")
	p.awaitText("2 connections")
	go func() { done <- takeSlowly(slow, &taken, quit) }()
	row := regexp.MustCompile(regexp.QuoteMeta(slow.LocalAddr().String()) + ` +send +/big\.iso\S* +\S*[░▏▎▍▌▋▊▉█]+ +(\d+)% +\S+/629M +([0-9.]+[kMG]?) +(\S+) +([0-9.]+)s`)
	last, before := -1, 0.0
	for range 4 { // the progress has to advance four times
		screen := p.await("progress beyond "+strconv.Itoa(last)+"%", func(screen string) bool {
			m := row.FindStringSubmatch(screen)
			return m != nil && harness.Atoi(m[1]) > last && strings.HasSuffix(m[2], "M")
		})
		m := row.FindStringSubmatch(screen)
		last = harness.Atoi(m[1])
		taken.Lock()
		received := float64(slow.Taken) / size * 100
		taken.Unlock()
		// The client cannot have received more than was sent; the difference is in the buffers of two
		// sockets. The display is newer than the previous value.
		if float64(last) > received+5 || float64(last) < before-5 {
			t.Errorf("top shows %d%%, but the client had received %.1f%% before and %.1f%% now", last, before, received)
		}
		before = received
	}
	p.await("the idle client", func(screen string) bool {
		return regexp.MustCompile(regexp.QuoteMeta(idle.LocalAddr().String()) + ` +idle`).MatchString(screen)
	})
	p.press("s", "s")
	p.awaitText("▼CLIENT")
	p.press("Escape")
	p.awaitText("CONN/IDLE")
	close(quit)
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.press("C-c")
	p.awaitText("top ended with 0")
	slow.Close()
	idle.Close()
	s.Stop(5 * time.Second)
}

// TestTopResized makes the window small and large again on each of top's screens.
func TestTopResized(t *testing.T) {
	t.Parallel()
	s, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "3")
	quiet := load(s, s.OneForEach())
	defer quiet()
	p := openPane(t, 80, 24)
	before := p.state()
	p.watch(e)
	for _, screen := range []struct{ enter, large, leave string }{{"", "CONN/IDLE", ""}, {"Enter", "CLIENT", "Escape"}, {"?", "go back", "Escape"}} {
		if screen.enter != "" {
			p.press(screen.enter)
		}
		if screen.enter != "?" {
			p.awaitText(screen.large)
		}
		p.resize(20, 5)
		p.await("a screen of 20 by 5 cells", func(text string) bool {
			all := strings.Split(strings.TrimRight(text, "\n"), "\n")
			wide := slices.ContainsFunc(all, func(l string) bool { return utf8.RuneCountInString(l) > 20 })
			return len(all) > 2 && len(all) <= 5 && !wide
		})
		p.resize(1, 1)
		p.await("one cell", func(text string) bool { return utf8.RuneCountInString(strings.TrimSpace(text)) <= 1 })
		p.resize(200, 60)
		p.await("all of a large window", func(text string) bool {
			return strings.Count(text, "\n") == 60 && strings.Contains(text, "serving") || screen.enter == "?"
		})
		p.resize(80, 24)
		if screen.leave != "" {
			p.press(screen.leave)
		}
		p.awaitLines("the three workers again", func(all []line) bool { return len(all) == 3 })
	}
	p.press("q")
	p.awaitText("top ended with 0")
	if after := p.state(); after != before {
		t.Errorf("terminal state after top:\n%+v\nwant\n%+v", after, before)
	}
	quiet()
	s.Stop(5 * time.Second)
}

// TestTopRestoresTerminal ends top with signals: the terminal is restored.
func TestTopRestoresTerminal(t *testing.T) {
	t.Parallel()
	_, e := harness.ServeWithAdmin(t, harness.Tree(t, map[string]string{"index.html": "front"}), "--workers", "1")
	p := openPane(t, 80, 24)
	before := p.state()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		p.write("clear")
		p.watch(e)
		shell := harness.Atoi(p.says("#{pane_pid}"))
		top := harness.ChildrenOf(shell)
		if len(top) != 1 {
			t.Fatalf("the shell's child processes are %v, want only top", top)
		}
		harness.Kill(t, top[0], sig)
		p.awaitText("top ended with 0")
		if after := p.state(); after != before {
			t.Errorf("terminal state after %s:\n%+v\nwant\n%+v", unix.SignalName(sig), after, before)
		}
	}
}
