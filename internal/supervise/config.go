package supervise

import (
	"context"
	"math/rand/v2"
	"os"
	"time"

	"github.com/rs/zerolog"
)

// Config is what a pool needs. Signals, Spawn and Version are required.
type Config struct {
	Slots   int
	Version string // that each worker must have
	Worker  string // path of its binary, for errors
	// Spawn starts the process of a slot. It counts in that row of Rows; -1: nowhere.
	Spawn   func(slot, row int) (Process, error)
	Shares  bool             // workers are told how many slots share the limits of the pool
	Signals <-chan os.Signal // INT, TERM, HUP, TTIN, TTOU, USR1, USR2; see signals.go
	Orphans <-chan os.Signal // CHLD, for a process that inherits orphans; else nil

	// Check lets the master's new program check the settings, from a goroutine of
	// its own, until ctx ends; nil: it need not.
	Check func(ctx context.Context) error
	// Exec executes the master's new program in place, and returns only if that
	// failed, with [ErrBusy] if a signal has come; nil: it cannot be done.
	Exec func(State) error
	// NotUpgradable says why there is no Exec; "": the path of the program is unknown.
	NotUpgradable string
	// SuspendRequests ends the requests to the Controller before Exec, and calls done once
	// they have ended, from any goroutine; ResumeRequests allows them again. nil: there are none.
	SuspendRequests func(done func())
	ResumeRequests  func()
	// Resume is the pool that the program before had; nil: there was none.
	Resume   *State
	Reattach func(slot int, h Handle) (Process, error) // [Spawner.Reattach]; required with Resume

	// Reload checks the settings anew; nil: there is nothing that could have
	// changed but the worker binary.
	Reload func() (Settings, error)
	// HungUp reports whether a HUP means that the terminal has gone, which asks
	// for a drain; nil: it never does.
	HungUp  func() bool
	Sockets Sockets // nil: the number of slots is fixed
	// Credentials returns a file for [ipc.Credentials], which is the caller's to close,
	// and its ID; nil: workers need none. Each worker gets it when it starts, and again
	// when CredentialsChanged receives a value. OnCredentials, if not nil, is called when
	// all workers that accept connections use those with an ID, or later ones.
	Credentials        func() (file *os.File, id uint32, err error)
	CredentialsChanged <-chan struct{}
	OnCredentials      func(id uint32)
	// Queue tells how many connections wait at a slot's socket, and how many may;
	// nil: unknown.
	Queue      func(slot int) (waiting, most int)
	Rows       Rows        // where workers count; nil: nowhere
	Controller *Controller // for queries and orders from other goroutines; nil: none

	LameDuck     time.Duration // how long it serves on after the first INT or TERM
	DrainTimeout time.Duration // time limit of a worker's drain; 0: none
	HangTimeout  time.Duration // time without heartbeat before a worker is hung; 0: none

	OnServing  func(workers int) // once, when all of so many workers serve
	OnLameDuck func()            // once, when the lame duck period begins
	// OnReload is called when a requested reload begins and when it has ended, whether
	// or not it succeeded.
	OnReload func(begun bool)
	// OnAlive is called each AliveEvery, from the loop, as long as the loop runs;
	// AliveEvery 0: never.
	OnAlive    func()
	AliveEvery time.Duration
	// OnProgress is called each second of a drain that takes longer than that, with
	// what the workers still have to do. It reports whether it has shown that; what
	// it has not shown is logged, ever more seldom.
	OnProgress func([]Progress) (shown bool)
	OnReopen   func() // for each USR1: log files may have been renamed
	OnDrain    func() // once, before the drain
	// OnQueuesEmpty is called once during the drain, when no connection waits for a
	// worker any more: nobody needs the listening sockets.
	OnQueuesEmpty func()
	Alert         func(line string) // what the user must know even in silent mode
	Log           zerolog.Logger
	// Deaths takes what Alert would take of deaths, with fields; nil: Alert takes it.
	Deaths *zerolog.Logger

	Now      func() time.Time                     // time.Now
	After    func(time.Duration) <-chan time.Time // time.After
	Reap     func(ours func(pid int) bool) error  // [Reap]
	Chance   func() float64                       // rand.Float64
	OOMKills func() int                           // [OOMKills]
}

// Settings are what a reload can change.
type Settings struct {
	Spawn   func(slot, row int) (Process, error) // Config.Spawn
	Worker  string                               // path of its binary, for errors
	Applied func()                               // called once they are in force, if not nil
	Slots   int                                  // configured number of workers
	Shares  bool                                 // Config.Shares
}

// Sockets are the slots' listening sockets.
type Sockets interface {
	Grow() (slot int, err error) // opens one more
	Shrink() error               // closes the last one, when no worker has it open any more
	Steer(slots []int) error     // sends new connections to these alone
}

func (p *pool) defaults() {
	for _, f := range []*func(){&p.OnDrain, &p.OnQueuesEmpty, &p.OnLameDuck, &p.OnAlive, &p.OnReopen} {
		if *f == nil {
			*f = func() {}
		}
	}
	if p.OnServing == nil {
		p.OnServing = func(int) {}
	}
	if p.OnReload == nil {
		p.OnReload = func(bool) {}
	}
	if p.OnProgress == nil {
		p.OnProgress = func([]Progress) bool { return false }
	}
	if p.Alert == nil {
		p.Alert = func(string) {}
	}
	alert := p.Alert
	p.Alert = func(line string) {
		p.lastAlert = line
		alert(line)
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.After == nil {
		p.After = time.After
	}
	if p.Reap == nil {
		p.Reap = Reap
	}
	if p.HungUp == nil {
		p.HungUp = func() bool { return false }
	}
	if p.Chance == nil {
		p.Chance = rand.Float64
	}
	if p.OOMKills == nil {
		p.OOMKills = OOMKills
	}
}
