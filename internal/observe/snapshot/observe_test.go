package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"phalanx/internal/accesslog"
	"phalanx/internal/observe/scoreboard"
	"phalanx/internal/observe/status"
	"phalanx/internal/supervise"
)

func newObserver(t *testing.T) *Observer {
	t.Helper()
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Board: board, Log: accesslog.New(accesslog.Config{Alert: func(line string) { t.Error(line) }})})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Rates and latencies are those of the window, not of the whole lifetime. Those of a process
// that started later are of its own lifetime. If the clock was set back since a process started,
// which an upgraded master knows by the wall clock, its rates stay those of the window.
func TestCompare(t *testing.T) {
	o := newObserver(t)
	began := time.Unix(1000, 0)
	totals := func(requests, sent uint64, took ...time.Duration) (t scoreboard.Totals) {
		var r scoreboard.Row
		for _, d := range took {
			r.Took(d)
		}
		t = r.Read()
		t.Requests[2], t.Bytes = requests, sent
		return t
	}
	o.samples = []sample{{
		at: began, total: totals(1000, 5000, time.Second),
		workers: map[int]figures{7: {Totals: totals(1000, 5000, time.Second), cpu: 3}, 9: {}},
	}}
	p := status.Pool{Workers: []status.Worker{
		{PID: 7, Started: began.Add(-time.Hour)}, {PID: 8, Started: began.Add(8 * time.Second)}, {PID: 0},
		{PID: 9, Started: began.Add(time.Hour)},
	}}
	o.compare(&p, sample{
		at: began.Add(10 * time.Second), total: totals(3000, 25000, time.Second, time.Millisecond, time.Millisecond),
		workers: map[int]figures{7: {Totals: totals(2000, 15000, time.Second, time.Millisecond), cpu: 8}, 8: {Totals: totals(1000, 10000, time.Millisecond), cpu: 1}, 9: {Totals: totals(100, 1000), cpu: 1}},
	})
	if p.Window != 10 || p.Total.Rate != 200 || p.Total.Bandwidth != 2000 {
		t.Errorf("the pool: window %v, rate %v, bandwidth %v", p.Window, p.Total.Rate, p.Total.Bandwidth)
	}
	if p.Total.P99 < 0.001 || p.Total.P99 > 0.00125 {
		t.Errorf("p99 is %v s, want about 1 ms, that of the window", p.Total.P99)
	}
	if w := p.Workers[0]; w.Rate != 100 || w.Bandwidth != 1000 || w.CPU != 0.5 {
		t.Errorf("the old worker: %v requests, %v bytes a second, %v CPUs", w.Rate, w.Bandwidth, w.CPU)
	}
	if w := p.Workers[1]; w.Rate != 500 || w.CPU != 0.5 {
		t.Errorf("the new worker: %v requests a second, %v CPUs", w.Rate, w.CPU)
	}
	if w := p.Workers[2]; w.Rate != 0 || w.CPU != 0 {
		t.Errorf("no worker: %+v", w)
	}
	if w := p.Workers[3]; w.Rate != 10 || w.Bandwidth != 100 || w.CPU != 0.1 {
		t.Errorf("the worker of before the change of the clock: %v requests, %v bytes a second, %v CPUs", w.Rate, w.Bandwidth, w.CPU)
	}
}

func TestUsage(t *testing.T) {
	var p process
	for began := time.Now(); p.cpu < 0.01 && time.Since(began) < 10*time.Second; { // each look costs some
		p = read("/proc", os.Getpid())
	}
	if p.cpu < 0.01 || p.cpu > 3600 || p.memory < 1<<20 || p.memory > 1<<33 {
		t.Errorf("%+v", p)
	}
	if p := read("/proc", 1<<30); p != (process{}) {
		t.Errorf("without a process: %+v", p)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1": "1 (a) b) S 0 0 0 0 0 0 0 0 0 0 150 50 0 0 0 0 0 0 500 0 3 0\n", "2": "2 (short) S", "3": "", "4": "no parenthesis",
	} {
		if err := os.MkdirAll(dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name+"/stat", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if p := read(dir, 1); p != (process{2, 3 * int64(os.Getpagesize()), 5}) {
		t.Errorf("with a parenthesis in the name: %+v", p)
	}
	for pid := 2; pid <= 4; pid++ {
		if p := read(dir, pid); p != (process{}) {
			t.Errorf("with garbage %d: %+v", pid, p)
		}
	}
}

// The clock may be set after a process was started.
func TestUptime(t *testing.T) {
	now := time.Now()
	for _, started := range []time.Time{now.Add(-1000 * time.Hour), now.Add(time.Hour)} {
		if up := read("/proc", os.Getpid()).uptime(started, now); up <= 0 || up > 3600 {
			t.Errorf("started at %v by the clock: up %v s", started, up)
		}
	}
	none := read(t.TempDir(), os.Getpid())
	for ago, want := range map[time.Duration]float64{time.Hour: 3600, -time.Hour: 0} {
		if up := none.uptime(now.Add(-ago), now); up != want {
			t.Errorf("without /proc, started %v ago: up %v s", ago, up)
		}
	}
}

// The description of a dead worker's last requests has what is known, and is empty for an idle
// worker.
func TestDoing(t *testing.T) {
	o := newObserver(t)
	row, mapped, err := o.Board.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want int, what string) {
		t.Helper()
		if n, request := o.Doing(row); n != want || request != what {
			t.Errorf("%d connections, %q, want %d, %q", n, request, want, what)
		}
	}
	check(0, "")
	mapped.Last.Set([]byte("GET /done"), monotonic())
	check(0, "")
	mapped.Active.Store(3)
	check(3, "")
	mapped.Oldest.Set([]byte("GET /big"), monotonic()-int64(12*time.Second))
	check(3, `oldest request "GET /big" (12s)`)
	mapped.Busy.Store(true)
	check(3, `serving "GET /done"`)
	if err := o.Close(row); err != nil {
		t.Fatal(err)
	}
	check(0, "")
	if _, err := o.Open(0); err != nil {
		t.Error(err)
	}
	if err := o.Close(99); err == nil || !strings.Contains(err.Error(), "row 99") {
		t.Errorf("an unused row: %v", err)
	}
}

// writeAsWorker does what a worker does: it takes a row, writes a hundred lines, and ends. It
// counts the lines for which there was space.
func writeAsWorker(o *Observer, board *scoreboard.Board, bell, slot int, written *int) error {
	row, err := o.Open(slot)
	if err != nil {
		return err
	}
	mapped, err := scoreboard.Attach(board.Descriptor(), row)
	if err != nil {
		return err
	}
	ring, err := accesslog.NewRing(mapped.Ring)
	if err != nil {
		return err
	}
	for range 100 {
		if ring.Write(fmt.Appendf(nil, "slot %d line %d\n", slot, *written)) {
			*written++
		}
		if ring.Due() {
			accesslog.Wake(bell)
		}
	}
	return errors.Join(mapped.Close(), o.Close(row))
}

// The file of an access log may be changed, removed and created again any number of times
// while workers write and exit: no line is lost or written twice.
func TestLogMoves(t *testing.T) {
	dir := t.TempDir()
	bell, err := accesslog.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	log := accesslog.New(accesslog.Config{Doorbell: bell, Alert: func(line string) { t.Error(line) }})
	board, err := scoreboard.New()
	if err != nil {
		t.Fatal(err)
	}
	o, err := New(Config{Board: board, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Use(filepath.Join(dir, "0")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	var written [3]int
	for slot := range written {
		work.Go(func() {
			for {
				if err := writeAsWorker(o, board, bell.Out, slot, &written[slot]); err != nil {
					t.Error(err)
					return
				}
				for log.Left() > 10_000 { // what exited workers leave is bounded
					time.Sleep(time.Millisecond)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	var paths []string
	for i := range 40 {
		path := filepath.Join(dir, fmt.Sprint(i%7))
		if err := errors.Join(log.Try(path), log.Use(path)); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
		log.Reopen()
		time.Sleep(time.Millisecond)
	}
	close(stop)
	work.Wait()
	for end := time.Now().Add(time.Minute); log.Left() > 0 && time.Now().Before(end); { // Close waits for a second only
		time.Sleep(time.Millisecond)
	}
	log.Close()
	checkLines(t, paths, written[:])
}

// checkLines expects each line of each slot once in all the files together.
func checkLines(t *testing.T, paths []string, written []int) {
	t.Helper()
	seen := make(map[string]int)
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			seen[line]++
		}
	}
	total := 0
	for slot, n := range written {
		total += n
		for i := range n {
			if line := fmt.Sprintf("slot %d line %d\n", slot, i); seen[line] != 1 {
				t.Fatalf("%q occurs %d times, want once", line, seen[line])
			}
		}
	}
	if len(seen) != total || total == 0 {
		t.Errorf("%d lines, want %d", len(seen), total)
	}
}

// A file that cannot be opened is reported, and opened as soon as that is possible and
// requested.
func TestLogLater(t *testing.T) {
	bell, err := accesslog.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	dir := filepath.Join(t.TempDir(), "later")
	alerts := make(chan string, 1)
	log := accesslog.New(accesslog.Config{Doorbell: bell, Lost: 7, Alert: func(line string) { alerts <- line }})
	path := filepath.Join(dir, "log")
	if err := log.Try(path); err == nil {
		t.Error("a file in no directory can be opened")
	}
	if err := log.Use(path); err == nil {
		t.Error("a file in no directory is opened")
	}
	log.Reopen()
	if line := <-alerts; !strings.HasSuffix(line, "no such file or directory; keeping the current access log") {
		t.Errorf("alert %q", line)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log.Reopen()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	log.Close()
	if n := log.Lost(); n != 7 {
		t.Errorf("%d lines are lost, want those of the previous program", n)
	}
}

// A stale release of a worker that drains or was killed does not count: another worker has its slot, or will.
func TestStale(t *testing.T) {
	o := newObserver(t)
	row, mapped, err := o.Board.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	mapped.Stale.Store(1)
	for state, want := range map[string]int{status.WorkerServing: 1, status.WorkerStarting: 1, status.WorkerDraining: 0, status.WorkerKilled: 0} {
		v := supervise.WorkerView{Worker: status.Worker{PID: os.Getpid(), State: state}, Row: row}
		if w, _ := o.worker(v, process{}, o.Board.Read(), time.Now(), monotonic()); w.Stale != want {
			t.Errorf("%s: %d sites, want %d", state, w.Stale, want)
		}
	}
}

// The deaths of a pool include those of slots that were removed.
func TestDeaths(t *testing.T) {
	o := newObserver(t)
	var p status.Pool
	view := supervise.View{Totals: map[int]supervise.Totals{0: {Deaths: 1}, 3: {Deaths: 5}}}
	addSlots(&p, view, o.Board.Read(), nil, nil)
	if p.Deaths != 6 || len(p.PerSlot) != 2 || p.PerSlot[1].Deaths != 5 {
		t.Errorf("%d deaths, slots %+v", p.Deaths, p.PerSlot)
	}
}
