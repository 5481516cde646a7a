package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"phalanx/internal/exitcode"
	"phalanx/internal/ipc"
)

// fake is a Process that runs no program. It exits on SIGINT unless it is busy.
type fake struct {
	mu       *sync.Mutex
	pid      int
	messages chan ipc.Message // capacity 8, more than any test sends
	gone     chan error       // the error that ends its channel
	dead     chan Exit
	sent     []ipc.Message
	signals  []syscall.Signal
	busy     bool // drains on SIGINT, but does not exit
	waited   bool // its accept queue is not empty, even while it drains
	stuck    bool // does not exit on SIGKILL either
	full     bool
	noRights bool // it cannot be sent a descriptor
	broken   bool // it has ended, but the pool does not know yet
	kept     Kept // nil: nothing is kept of it
	reaped   bool
}

func (f *fake) PID() int     { return f.pid }
func (f *fake) Kept() Kept   { return f.kept }
func (f *fake) Close() error { f.reaped = true; return nil }
func (f *fake) Wait() Exit   { return <-f.dead }

func (f *fake) Handle() Handle { return Handle{PID: f.pid} }

func (f *fake) Receive() (ipc.Message, error) {
	select {
	case m := <-f.messages:
		return m, nil
	default:
	}
	select {
	case m := <-f.messages:
		return m, nil
	case err := <-f.gone:
		return nil, err
	}
}

func (f *fake) Send(m ipc.Message) error {
	switch {
	case f.full:
		return ipc.ErrFull
	case f.broken:
		return syscall.EPIPE
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, m)
	return nil
}

// SendFile records the message; the descriptor is ignored.
func (f *fake) SendFile(m ipc.Message, _ int) error {
	if f.noRights {
		return syscall.ETOOMANYREFS
	}
	return f.Send(m)
}

func (f *fake) Signal(sig syscall.Signal) error {
	f.mu.Lock()
	f.signals = append(f.signals, sig)
	f.mu.Unlock()
	switch {
	case f.stuck:
	case sig == syscall.SIGKILL:
		f.die(Exit{Signal: sig})
	case !f.busy:
		f.die(Exit{})
	case sig == syscall.SIGINT && !f.waited:
		f.messages <- ipc.QueuesEmpty{}
	}
	return nil
}

// die ends the channel, unless the test has done so, and then the process.
func (f *fake) die(e Exit) {
	select {
	case f.gone <- io.EOF:
	default:
	}
	select {
	case f.dead <- e:
	default:
	}
}

// rig is a pool of fakes in a synctest bubble.
type rig struct {
	t          *testing.T
	procs      []*fake // in the order of their start
	slots      []int   // the slot of each
	signals    chan os.Signal
	childExits chan os.Signal
	done       chan error
	reported   []string // OnServing, OnDrain and alerts, in order
	spawn      func(slot int) error
	change     func(*Config) // of the pool's settings
	tweak      func(*fake)
	reap       func(ours func(int) bool) error

	// Written by the goroutine of the pool; see pass.
	mu  sync.Mutex
	log bytes.Buffer // read once the pool has ended
}

// run runs a pool, and beside it the test, which must let the pool end.
func run(t *testing.T, slots int, test func(*rig)) {
	t.Helper()
	r := &rig{t: t}
	runRig(t, slots, r, test)
}

func runRig(t *testing.T, slots int, r *rig, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		r.signals = make(chan os.Signal)
		if r.reap != nil {
			r.childExits = make(chan os.Signal)
		}
		r.done = make(chan error, 1)
		go func() { r.done <- Run(r.config(slots)) }()
		synctest.Wait()
		test(r)
	})
}

func (r *rig) config(slots int) Config {
	note := func(s string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reported = append(r.reported, s)
	}
	cfg := Config{
		Settings: Settings{Slots: slots, Worker: "/bin/worker", Spawn: r.start}, Version: "1", Signals: r.signals,
		OnServing: func(int) { note("serving") }, OnDrain: func() { note("drain") }, Alert: note,
		ChildExits: r.childExits, Reap: r.reap, Log: zerolog.New(&r.log),
		Chance: func() float64 { return 0 }, OOMKills: func() int { return 0 },
	}
	if r.change != nil {
		r.change(&cfg)
	}
	return heedless(cfg)
}

// heedless returns the configuration with an empty function for each callback that is nil.
func heedless(cfg Config) Config {
	for _, f := range []*func(){&cfg.OnDrain, &cfg.OnQueuesEmpty, &cfg.OnLameDuck, &cfg.OnReopen, &cfg.OnAlive} {
		if *f == nil {
			*f = func() {}
		}
	}
	if cfg.OnServing == nil {
		cfg.OnServing = func(int) {}
	}
	if cfg.OnReload == nil {
		cfg.OnReload = func(bool, string) {}
	}
	if cfg.OnProgress == nil {
		cfg.OnProgress = func([]Progress) bool { return false }
	}
	return cfg
}

func (r *rig) start(slot, _ int) (Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spawn != nil {
		if err := r.spawn(slot); err != nil {
			return nil, err
		}
	}
	f := &fake{
		mu: &r.mu, pid: 101 + len(r.procs), messages: make(chan ipc.Message, 8),
		gone: make(chan error, 1), dead: make(chan Exit, 1),
	}
	if r.tweak != nil {
		r.tweak(f)
	}
	r.procs, r.slots = append(r.procs, f), append(r.slots, slot)
	return f, nil
}

// send sends a message from workers and waits until the pool has handled it.
func (r *rig) send(m ipc.Message, procs ...int) {
	for _, i := range procs {
		r.procs[i].messages <- m
	}
	synctest.Wait()
}

// hello reports workers ready.
func (r *rig) hello(procs ...int) {
	r.t.Helper()
	for _, i := range procs {
		if i >= len(r.procs) {
			r.t.Fatalf("process %d was never started; reported: %q", i, r.reported)
		}
		r.send(ipc.Ready{PID: r.procs[i].pid, Version: "1"}, i)
	}
}

func (r *rig) die(i int, e Exit) {
	r.procs[i].die(e)
	synctest.Wait()
}

func (r *rig) signal(sig syscall.Signal) {
	r.pass(sameSignal) // a signal that follows sooner counts as the same
	r.signals <- sig
	synctest.Wait()
}

// stop stops the pool: all of its workers drain, and end.
func (r *rig) stop() {
	r.t.Helper()
	r.signal(syscall.SIGINT)
	for i := range r.procs {
		r.die(i, Exit{})
	}
	r.ends(0, "")
}

// stopBefore tells the pool to stop before worker i is ready, which then serves its accept
// queue, and drains.
func (r *rig) stopBefore(i int) {
	r.t.Helper()
	r.signal(syscall.SIGINT)
	r.hello(i)
	r.told(i, ipc.Serve{})
	r.signalled(i, syscall.SIGINT)
}

// orphan tells the pool that a child has ended.
func (r *rig) orphan() {
	r.childExits <- syscall.SIGCHLD
	synctest.Wait()
}

// pass lets time pass. What the test has read so far must happen before what the pool
// writes when its timer fires: mu orders them, as synctest.Wait orders only the other
// direction.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	//lint:ignore SA2001 only the order matters
	r.mu.Unlock()
	time.Sleep(d) // in the clock of the bubble
	synctest.Wait()
}

// expect checks the number of processes that were started, and what was reported.
func (r *rig) expect(procs int, reported ...string) {
	r.t.Helper()
	if len(r.procs) != procs {
		r.t.Errorf("%d processes were started, want %d", len(r.procs), procs)
	}
	if !slices.Equal(r.reported, reported) {
		r.t.Errorf("reported:\n %s\nwant:\n %s", strings.Join(r.reported, "\n "), strings.Join(reported, "\n "))
	}
}

// ends checks that the pool has ended, and with which error.
func (r *rig) ends(code int, text string) {
	r.t.Helper()
	synctest.Wait()
	var err error
	select {
	case err = <-r.done:
	default:
		r.t.Fatalf("the pool still runs; reported: %q\n%s", r.reported, &r.log)
	}
	var e *exitcode.Error
	switch {
	case code == 0 && err != nil:
		r.t.Errorf("the pool ended with %v, want no error", err)
	case code != 0 && (!errors.As(err, &e) || e.Code != code || err.Error() != text):
		r.t.Errorf("the pool ended with %v\nwant code %d, %s", err, code, text)
	}
}

func (r *rig) signalled(i int, want ...syscall.Signal) {
	r.t.Helper()
	if !slices.Equal(r.procs[i].signals, want) {
		r.t.Errorf("process %d got signals %v, want %v", i, r.procs[i].signals, want)
	}
}

// logged checks that each of the lines is in the log of a pool that has ended.
func (r *rig) logged(lines ...string) {
	r.t.Helper()
	for _, want := range lines {
		if !strings.Contains(r.log.String(), want+"\n") {
			r.t.Errorf("the log has no %s:\n%s", want, &r.log)
		}
	}
}

func (r *rig) told(i int, want ...ipc.Message) {
	r.t.Helper()
	if !slices.Equal(r.procs[i].sent, want) {
		r.t.Errorf("process %d was sent %v, want %v", i, r.procs[i].sent, want)
	}
}
