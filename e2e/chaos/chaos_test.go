package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"phalanx/e2e/harness"
)

var (
	chaosFor  = flag.Duration("chaos.for", 30*time.Second, "how long TestChaos lasts; each disruption happens at least once")
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of TestChaos's schedule; 0 means a new one")
)

const (
	chaosSlots = 2
	chaosHang  = 6 * time.Second // a worker that is merely slow must not be killed
	// chaosRecycle is large enough that the last worker, which drains until its HTTP/2 downloads
	// end, has exited long before the next one is recycled, even with a single slot.
	chaosRecycle = "10000"
	// chaosWait bounds every wait. A slot whose workers die often waits up to 10 s for the next
	// one, and a slot that is being closed listens for 11 s.
	chaosWait = 80 * time.Second
)

// Why a rescue may close connections: of TLS and HTTP/2, and of unix sockets.
const (
	cannotContinue = "whose response cannot be continued"
	cannotRescue   = "that cannot be rescued"
)

// The lines that the master may log.
var (
	notReplaced = regexp.MustCompile(`; (worker \d+ \(pid \d+\) is not replaced|keeping the current workers)$`)
	lastStays   = regexp.MustCompile(`^phalanx: at least one worker is needed;`)
	gaveUp      = regexp.MustCompile(`^phalanx: worker \d+( \(pid \d+\))? died: .*; slot quarantined until SIGHUP$`)
	lost        = regexp.MustCompile(`rescued .*; | connections of .* closed: `)
	admitted    = regexp.MustCompile(`; (\d+) closed (` + cannotContinue + `|` + cannotRescue + `)`)
	namedPID    = regexp.MustCompile(`\(pid (\d+)\)`)
)

// chaos is a server that is disrupted in every way it should survive, while clients that accept no
// failure use it. docs/chaos.md says what they accept.
type chaos struct {
	*harness.Server
	again string // the command that repeats this test
	began time.Time
	rng   *rand.Rand // of the schedule; each client has its own
	load  *load

	path     string // the worker binary
	good     []byte // its content
	victims  []int  // the workers that were killed
	slots    int    // that the master was told to run
	reopened int    // quarantined slots that a SIGHUP was sent for
	refusals int    // SIGTTOU that the master has to refuse
	broken   []span // while the binary was one that does not start
	done     map[string]int
}

// span is a range of lines on standard error.
type span struct {
	from, to int
}

// TestChaos disrupts the server in random order, again and again. No client may notice.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = 1 + uint64(rand.Uint32())
	}
	c := startChaos(t, seed)
	if err := c.await("one worker in each slot at the start", c.settled); err != nil {
		c.errorf("%v", err)
		return
	}
	before := len(descriptors(c.PID()))
	c.load.start(seed)
	c.disrupt(time.Now().Add(*chaosFor))
	c.finish(before)
}

// startChaos starts a server with its own copies of the binaries.
func startChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		again: fmt.Sprintf("go test ./e2e/chaos -run TestChaos -chaos.seed=%d -chaos.for=%v", seed, *chaosFor),
		began: time.Now(), rng: rand.New(rand.NewPCG(seed, 0)), slots: chaosSlots, done: map[string]int{},
	}
	t.Logf("reproduce with: %s", c.again)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("reproduce with: %s", c.again)
		}
	})
	dir := harness.Copies(t, "master", "worker")
	c.path, c.good = filepath.Join(dir, "worker"), harness.Original(t, "worker")
	c.load = newLoad(c)
	files := map[string]string{}
	for _, p := range append(c.load.pages, c.load.large) {
		files[strings.TrimPrefix(p.path, "/")] = string(p.body)
	}
	// Without -v, so that standard error has only what the operator must know.
	port, port2, https := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	socket := filepath.Join(harness.OpenDir(t), "http.sock")
	c.load.plain, c.load.second, c.load.local, c.load.secure = plain(port), second(port2), local(socket), secure(https)
	c.load.http2, c.load.h2c = overHTTP2(c.load.secure), overHTTP2(c.load.plain)
	c.Server = harness.ServeSilentlyAt(t, port, harness.Plan{Binary: filepath.Join(dir, "master"), Args: []string{
		"--base", harness.Tree(t, files), "--workers", strconv.Itoa(chaosSlots), "--keepalive", "60s",
		"--hang-timeout", chaosHang.String(), "--max-requests", chaosRecycle,
		"--listen", "http://" + harness.Loopback(port), "--listen", "http://" + harness.Loopback(port2),
		"--listen", "unix:" + socket, "--listen", "https://" + harness.Loopback(https), "--tls-self-signed", "--plain", "serve",
	}})
	t.Cleanup(c.load.stop)
	return c
}

func (c *chaos) logf(format string, args ...any) {
	c.T.Helper()
	c.T.Logf("%6.1f s  "+format, append([]any{time.Since(c.began).Seconds()}, args...)...)
}

func (c *chaos) errorf(format string, args ...any) {
	c.T.Helper()
	args = append([]any{time.Since(c.began).Seconds()}, args...)
	c.T.Errorf("%6.1f s  "+format+"\nreproduce with: %s", append(args, c.again)...)
}

// await polls until ok holds. It polls less often than the other tests do, because a look at all
// sockets takes CPU time from the load.
func (c *chaos) await(what string, ok func() bool) error {
	deadline := time.Now().Add(chaosWait)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		switch {
		case c.Gone():
			return fmt.Errorf("the master exited with status %d while waiting for %s:\n%s", c.Status(), what, c.Log.Tail())
		case time.Now().After(deadline):
			return fmt.Errorf("not within %v: %s; %d slots, processes %v:\n%s", chaosWait, what, c.slots, c.Session(), c.Log.Tail())
		}
		<-tick.C
	}
	return nil
}

// disrupt runs rounds of disruptions, each in random order, so that none is left out. The first
// round is always completed.
func (c *chaos) disrupt(until time.Time) {
	all := disruptions()
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		for _, i := range c.rng.Perm(len(all)) {
			if c.Gone() || round > 0 && !time.Now().Before(until) {
				return
			}
			<-time.After(harness.Between(c.rng, 300*time.Millisecond, 1500*time.Millisecond))
			c.logf("%s, %d slots", all[i].name, c.slots)
			c.done[all[i].name]++
			if err := all[i].do(c); err != nil {
				// The following ones would wait for the same in vain.
				c.errorf("%s: %v", all[i].name, err)
				return
			}
		}
	}
}

// finish stops the server during downloads and checks everything.
func (c *chaos) finish(before int) {
	err := c.await("one worker in each slot at the end", c.settled)
	if err == nil {
		// For each slot the master has four listening sockets, the control channel, the pipes of
		// the worker's standard error and of its log, a pidfd of the worker, and for a rescue the
		// records, the keeper's lifeline and a pidfd of the keeper. After an upgrade it has a
		// signalfd as well.
		limit := before + 1 + 11*max(0, c.slots-chaosSlots)
		err = c.await(fmt.Sprintf("a master with at most %d descriptors", limit), func() bool {
			return len(descriptors(c.PID())) <= limit
		})
	}
	if err != nil {
		c.errorf("%v", err)
	}
	if c.Gone() {
		return
	}
	if under := c.load.end(c.stop); under == 0 {
		c.errorf("no download was under way when the server was stopped")
	}
	if code := c.Wait(15 * time.Second); code != 0 {
		c.errorf("exit status %d after SIGINT, want 0:\n%s", code, c.Log.Tail())
	}
	c.checkLoad()
	c.checkDisruptions()
	c.checkLines()
}

// stop stops the server and kills a worker that drains.
func (c *chaos) stop() {
	c.Interrupt()
	for len(c.Workers()) > 0 {
		victim, err := c.tryKill(killing{how: "killed while the server was stopping"}, c.draw())
		if err != nil {
			c.errorf("%v", err)
		}
		if victim != 0 || err != nil {
			return
		}
	}
	c.errorf("no worker was draining although downloads were under way")
}

// checkLoad checks that there were enough requests for the result to mean something. Usually
// there are a few times as many.
func (c *chaos) checkLoad() {
	lasted := time.Since(c.began).Seconds()
	l := c.load
	l.mu.Lock()
	defer l.mu.Unlock()
	for kind, rate := range map[string]float64{
		kindShort: 10, kindKept: 40, kindIdle: 0.5, kindDownload: 0.1, kindRange: 0.02,
		kindShort + l.second.over: 3, kindKept + l.second.over: 10, kindDownload + l.second.over: 0.02,
		kindKept + l.local.over: 10, kindIdle + l.local.over: 0.05,
		kindShort + l.secure.over: 1, kindKept + l.secure.over: 10, kindIdle + l.secure.over: 0.1, kindDownload + l.secure.over: 0.03,
		kindKept + l.http2.over: 5, kindDownload + l.http2.over: 0.03, kindKept + l.h2c.over: 5, kindDownload + l.h2c.over: 0.02,
	} {
		c.logf("%s: %d responses", kind, l.served[kind])
		if least := int(rate * lasted); l.served[kind] < max(1, least) {
			c.errorf("%s: %d responses in %.0f s, want at least %d", kind, l.served[kind], lasted, max(1, least))
		}
	}
	c.logf("%d connections ended as announced, %d failures", l.announced, l.wrong)
	if l.wrong > mostShown {
		c.errorf("%d failures; the first %d are shown", l.wrong, mostShown)
	}
}

func (c *chaos) checkDisruptions() {
	for _, d := range disruptions() {
		if c.done[d.name] == 0 {
			c.errorf("%s never happened", d.name)
		}
	}
	c.logf("done: %v", c.done)
}

// checkLines checks the master's log: it says that each victim died, why a reload failed or that
// the last worker stays, and nothing else.
func (c *chaos) checkLines() {
	events, lines := c.Log.All()
	if len(events) > 0 || c.Out.String() != "" {
		c.errorf("events %v and output %q from a server without -v", events, c.Out)
	}
	named, closed := map[int]bool{}, map[string]int{}
	for i, line := range lines {
		explained := lastStays.MatchString(line) || notReplaced.MatchString(line) && c.brokenAt(i)
		for _, m := range admitted.FindAllStringSubmatch(line, -1) {
			closed[m[2]] += harness.Atoi(m[1])
		}
		losesMore := lost.MatchString(admitted.ReplaceAllString(line, ""))
		for _, m := range namedPID.FindAllStringSubmatch(line, -1) {
			if pid := harness.Atoi(m[1]); slices.Contains(c.victims, pid) {
				named[pid], explained = true, !losesMore
			}
		}
		if !explained || !strings.HasPrefix(line, "phalanx: ") {
			c.errorf("unexpected line on standard error: %q", line)
		}
	}
	c.checkExcused(closed)
	for _, pid := range c.victims {
		if !named[pid] {
			c.errorf("no line on standard error says that process %d died", pid)
		}
	}
	if n := c.linesMatching(lastStays, 0); n != c.refusals {
		c.errorf("%d lines say that at least one worker is needed, want %d", n, c.refusals)
	}
}

func (c *chaos) brokenAt(line int) bool {
	return slices.ContainsFunc(c.broken, func(s span) bool { return line >= s.from && line < s.to })
}
